"""Training data of a feed, out of files or a generated sample: features, target and the columns that go with them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from schemas.errors import FeedError
from schemas.feed import Column, Feed
from training.data.fetch import data_path
from training.data.read import Wanted, read_files
from training.data.sample import sample

SAMPLE_ROWS = 5000
MIN_ROWS = 10
NUMBERS = ("int", "long", "float", "double")
LABELS = ("string", "boolean", "int", "long")


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to train on; the index of all three frames is 0 to rows - 1.

    Attributes:
        features: the feed's features under their original names and in its order; whole numbers that may be null, and
            floats, are floats, text stays text.
        target: doubles; for a classifier its labels as the feed types them (text, booleans, whole numbers).
        others: the feed's key, time and carry columns that the source has; whole numbers stay whole (`Int64`).
        digest: SHA-256 of the content, hexadecimal: of a file's bytes; of a folder's files; of a table's rows.
        source: where the rows come from: a path, `sample(…)` with its arguments, or a table and its labels.
        left_out: rows of the source that have no label.
        positions: of these rows in the source, 0 for the first; null: 0 to rows - 1.
    """

    features: pd.DataFrame
    target: pd.Series
    others: pd.DataFrame
    digest: str
    source: str
    left_out: int = 0
    positions: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.target)

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The features, then the target, by name; a NaN is a null."""
        for name in self.features:
            yield name, pa.array(self.features[name], from_pandas=True)
        yield str(self.target.name), pa.array(self.target, from_pandas=True)


def training_data(feed: Feed, path: Path | None, seed: int = 0, is_classifier: bool = False) -> Data:
    """The rows of `path`; without one those of `var/data/<feed>.csv`; without that a generated sample of 5,000 rows.

    Raises:
        FeedError, SettingsError: as `read_data`, or there is nothing to learn from these rows.
    """
    target_column(feed, is_classifier)
    if path is None and data_path(feed.name).is_file():
        path = data_path(feed.name)
    if path is not None:
        data = read_data(feed, path, is_classifier=is_classifier)
    else:
        with tempfile.TemporaryDirectory() as folder:
            made = sample(feed, rows=SAMPLE_ROWS, files=1, out=Path(folder), seed=seed)
            source = f"sample(feed={feed.name}, rows={SAMPLE_ROWS}, seed={seed})"
            data = read_data(feed, made.paths[0], source, is_classifier)
    assert_trainable(data, is_classifier)
    return data


def read_data(feed: Feed, path: Path, source: str = "", is_classifier: bool = False) -> Data:
    """The features, the target and the other columns in CSV or Parquet, a file or a folder of them.

    Columns are found by name; those that the feed does not declare are left. Every value is of its column's type;
    whether the feed accepts it, is for `training.validation.validate` to say.

    Raises:
        SettingsError: no such file.
        FeedError: it is empty, lacks a feature or the target, or holds a value of another type.
    """
    target = target_column(feed, is_classifier)
    found = read_files(feed, path, wanted_columns(feed, target, is_classifier))
    return data_of(feed, target, found.table, found.digest, source or str(path.absolute()))


def wanted_columns(feed: Feed, target: Column, is_classifier: bool) -> Wanted:
    """What to read: features and target, and the others where they are there; the target of a regression as double."""
    others = [column for column in feed.columns if column.role in ("key", "time", "carry")]
    return Wanted([*feed.features, target], others, {} if is_classifier else {target.name: pa.float64()})


def data_of(feed: Feed, target: Column, table: pa.Table, digest: str, source: str, left_out: int = 0) -> Data:
    """The data in a table that has the feed's columns under their own names."""
    names = [column.name for column in feed.features]
    beside = table.select([name for name in table.column_names if name not in {*names, target.name}])
    kept_whole = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    as_floats = {c.name: "float64" for c in feed.features if c.nullable and c.type in ("int", "long")}
    return Data(
        features=table.select(names).to_pandas().astype(as_floats),
        target=table.select([target.name]).to_pandas()[target.name],
        others=beside.to_pandas(types_mapper=kept_whole.get, date_as_object=False),
        digest=digest,
        source=source,
        left_out=left_out,
    )


def target_column(feed: Feed, is_classifier: bool = False) -> Column:
    """The column that a model learns to predict.

    Raises:
        FeedError: the feed has none, or it is no number; for a classifier, no label.
    """
    if feed.target is None:
        msg = f"feed {feed.name} has no target; give the column to predict 'role: target' in its file"
        raise FeedError(msg)
    if feed.target.type not in (LABELS if is_classifier else NUMBERS):
        label = f"a label ({', '.join(LABELS)}); choose a regressor"
        wanted = label if is_classifier else "a number; choose a classifier"
        msg = (
            f"feed {feed.name}: the target '{feed.target.name}' is {feed.target.type}, wanted {wanted} in "
            f"conf/training/{feed.name}.yaml"
        )
        raise FeedError(msg)
    return feed.target


def assert_trainable(data: Data, is_classifier: bool = False) -> None:
    """Hold the rows against what any fitting needs.

    Raises:
        FeedError: fewer than 10 rows, or a target that is the same in all of them.
    """
    if data.rows < MIN_ROWS:
        msg = f"{data.source} has {data.rows} rows; training wants at least {MIN_ROWS}"
        raise FeedError(msg)
    values = data.target.dropna().unique()
    if len(values) > 1:
        return
    found = f"{values[0]} in every row" if len(values) else "null in every row"
    wanted = "two classes at least" if is_classifier else "numbers that vary"
    msg = f"{data.source}: the target '{data.target.name}' is {found}, wanted {wanted}; give more data"
    raise FeedError(msg)
