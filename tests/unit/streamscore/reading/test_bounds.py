"""What 100,000 rejects and 3,000 columns may cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.reading.rejects import HEADER_KEPT
from streamscore.reading.validate import validate

REJECTS = 100_000
WIDE = "".join(f",column {number}" for number in range(5000))
AllRejects = Callable[[str], pa.Table]


@pytest.fixture
def rejects_of(tmp_path: Path) -> AllRejects:
    """All rejects of a file with this text."""

    def rejects_of(text: str) -> pa.Table:
        columns = [{"name": "a", "type": "int", "allowed": list(range(1000))}, {"name": "b", "type": "int"}]
        csv = {"extra_columns": "ignore"}
        feed = Feed.model_validate({"name": "test", "csv": csv, "columns": columns})
        path = tmp_path / "in.csv"
        path.write_text(text)
        file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        found = []
        for rows, rejects in read_chunks([file], feed, ReadOptions(tmp_path.as_uri())):
            found += [rejects, validate(rows, feed)[1]]
        return pa.concat_tables(found)

    return rejects_of


@pytest.mark.parametrize("row", ["x", "x,1", "-1,1"])
def test_a_reject_costs_its_own_row_and_a_few_sentences(rejects_of: AllRejects, row: str) -> None:
    rejects = rejects_of("a,b\n" + f"{row}\n" * REJECTS)
    assert rejects.num_rows == REJECTS
    assert rejects.nbytes < REJECTS * 500


def test_rejects_under_a_long_header_have_its_beginning_and_each_file_has_it_whole(rejects_of: AllRejects) -> None:
    header = f"a,b{WIDE}"
    rejects = rejects_of(f"{header}\n" + "x\n" * REJECTS)
    assert (rejects.num_rows, rejects["raw"].unique().to_pylist()) == (REJECTS, ["x"])
    assert rejects["header"].unique().to_pylist() == [header, header[:HEADER_KEPT]]
    assert rejects.nbytes < REJECTS * 1000  # 7 GB with the whole header in each


def test_a_file_with_a_wrong_header_of_thousands_of_names_is_a_short_reject(rejects_of: AllRejects) -> None:
    header = f"c,d{WIDE}"
    rejects = rejects_of(f"{header}\nx\n")
    assert (rejects["reason"].to_pylist(), rejects["header"].to_pylist()) == (["missing_column"], [header])
    assert len(rejects["detail"][0].as_py()) < 5000
    assert "and 4,902 more; missing: 'a', 'b'" in rejects["detail"][0].as_py()


def test_three_thousand_columns_are_read(tmp_path: Path) -> None:
    columns: list[dict[str, Any]] = [{"name": f"c{n}", "type": "double", "min": 0} for n in range(3000)]
    feed = Feed.model_validate({"name": "test", "columns": columns})
    values = np.arange(20 * 3000).reshape(20, 3000)
    lines = [",".join(str(c["name"]) for c in reversed(columns)), *(",".join(map(str, row)) for row in values)]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(lines))
    file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
    ((rows, rejects),) = read_chunks([file], feed, ReadOptions(tmp_path.as_uri()))
    good, refused = validate(rows, feed)
    assert (good.table.num_rows, rejects.num_rows, refused.num_rows) == (20, 0, 0)
    assert good.table["c0"].to_pylist() == values[:, -1].tolist()
