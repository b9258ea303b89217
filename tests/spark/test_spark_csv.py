"""Files that Spark's own CSV writer made, read with `csv.escape`."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile
from streamscore.reading.read import ReadOptions, read_chunks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_text_is_what_spark_wrote(spark: "SparkSession", tmp_path: Path) -> None:
    pieces, chosen = ["\\", '"', ",", "\n", "a", " ", "é"], random.Random(0)
    texts = ["".join(chosen.choices(pieces, k=chosen.randint(1, 6))) for _ in range(2000)]
    frame = spark.createDataFrame([*enumerate(texts)], "id int, s string").coalesce(1)
    spaces = {"ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
    frame.write.csv(str(tmp_path / "made"), header=True, **spaces)  # type: ignore[arg-type]
    (path,) = (tmp_path / "made").glob("part-*.csv")
    columns = [{"name": "id", "type": "int"}, {"name": "s", "type": "string"}]
    feed = Feed.model_validate({"name": "test", "csv": {"escape": "\\"}, "columns": columns})
    file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
    found: dict[int, str] = {}
    for rows, rejects in read_chunks([file], feed, ReadOptions(tmp_path.as_uri())):
        assert rejects.to_pylist() == []
        found |= dict(zip(rows.table["id"].to_pylist(), rows.table["s"].to_pylist(), strict=True))
    assert found == dict(enumerate(texts))
