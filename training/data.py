"""Training data: a CSV file of a feed, read by header name and typed as the feed declares."""

import csv
import gzip
import hashlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as pacsv

from schemas.errors import FeedError, SettingsError
from schemas.feed import Column, Feed
from training.fetch import data_path
from training.sample import sample

SAMPLE_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to train on.

    Attributes:
        features: the feed's features under their original names and in its order; whole numbers that may be null, and
            floats, are floats, text stays text.
        target: doubles, named as in the feed.
        digest: SHA-256 of the file's bytes, hexadecimal.
        source: where the rows come from: a path, or `sample(…)` with its arguments.
    """

    features: pd.DataFrame
    target: pd.Series
    digest: str
    source: str

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.target)


def training_data(feed: Feed, path: Path | None, seed: int = 0) -> Data:
    """The rows of `path`; without one those of `var/data/<feed>.csv`; without that a generated sample of 5,000 rows.

    Raises:
        FeedError, SettingsError: as `read_data`.
    """
    target_column(feed)
    if path is None and data_path(feed.name).is_file():
        path = data_path(feed.name)
    if path is not None:
        return read_data(feed, path)
    with tempfile.TemporaryDirectory() as folder:
        made = sample(feed, rows=SAMPLE_ROWS, files=1, out=Path(folder), seed=seed)
        return read_data(feed, made.paths[0], source=f"sample(feed={feed.name}, rows={SAMPLE_ROWS}, seed={seed})")


def read_data(feed: Feed, path: Path, source: str = "") -> Data:
    """The features and the target in a CSV file (or `.csv.gz`), columns found by header name; other columns are left.

    Every value must be one that the stream would accept, so that a model never learns from what it will not see.

    Raises:
        SettingsError: no such file.
        FeedError: it is empty, lacks a column, or holds a value that the feed refuses; names column and first row.
    """
    wanted = {column.name: column for column in (*feed.features, target_column(feed))}
    if not path.is_file():
        raise SettingsError(f"no file {path}: give a CSV with --data, or get one: streamscore fetch {feed.name}")
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    names = _names_in_file(feed, path, text, wanted)
    table = _parse(feed, path, text, {names[name]: column for name, column in wanted.items()})
    if not table.num_rows:
        raise FeedError(
            f"{path} has a header and no rows; training wants some: streamscore sample {feed.name} --rows 5000"
        )
    frame = table.rename_columns(list(wanted)).to_pandas()
    for column in wanted.values():
        _assert_values(frame[column.name], column, path, is_target=column.role == "target")
    whole = {c.name: "float64" for c in feed.features if c.nullable and c.type in ("int", "long")}
    return Data(
        features=frame[[column.name for column in feed.features]].astype(whole),
        target=frame[target_column(feed).name],
        digest=hashlib.sha256(content).hexdigest(),
        source=source or str(path.absolute()),
    )


def target_column(feed: Feed) -> Column:
    """The column that a model learns to predict.

    Raises:
        FeedError: the feed has none, or it is no number.
    """
    if feed.target is None:
        raise FeedError(f"feed {feed.name} has no target; give the column to predict 'role: target' in its file")
    if feed.target.type not in ("int", "long", "float", "double"):
        raise FeedError(
            f"feed {feed.name}: the target '{feed.target.name}' is {feed.target.type}, wanted a number; "
            "train elsewhere and use: streamscore promote NAME VERSION"
        )
    return feed.target


def _names_in_file(feed: Feed, path: Path, text: bytes, wanted: Mapping[str, Column]) -> dict[str, str]:
    """How the file spells each wanted column."""
    encoding = "utf-8-sig" if feed.csv.encoding.lower() in ("utf-8", "utf8") else feed.csv.encoding
    lines = io.TextIOWrapper(io.BytesIO(text), encoding, errors="replace", newline="")
    header = next(csv.reader(lines, delimiter=feed.csv.delimiter, quotechar=feed.csv.quote), None)
    if not header:
        raise FeedError(
            f"{path} is empty, wanted a header with {', '.join(wanted)}; streamscore sample makes such files"
        )
    fold = (lambda name: name.strip().casefold()) if feed.csv.header == "ignore_case" else str
    spelled = {fold(name): name for name in header}
    if missing := [name for name in wanted if fold(name) not in spelled]:
        kind = "the target" if missing == [target_column(feed).name] else "columns"
        raise FeedError(
            f"{path} lacks {kind} {', '.join(repr(m) for m in missing)}; its header has {', '.join(header)[:300]}; "
            f"wanted what schemas/{feed.name}.yaml declares (delimiter {feed.csv.delimiter!r})"
        )
    names = {name: spelled[fold(name)] for name in wanted}
    if twice := [name for name in wanted if sum(fold(name) == fold(h) for h in header) > 1]:
        raise FeedError(f"{path} has column '{twice[0]}' more than once; leave one")
    return names


def _parse(feed: Feed, path: Path, text: bytes, columns: Mapping[str, Column]) -> pa.Table:
    types = {name: pa.float64() if c.role == "target" else c.arrow_type for name, c in columns.items()}
    try:
        return pacsv.read_csv(
            pa.BufferReader(text),
            read_options=pacsv.ReadOptions(encoding=feed.csv.encoding),
            parse_options=pacsv.ParseOptions(
                delimiter=feed.csv.delimiter, quote_char=feed.csv.quote, newlines_in_values=True
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(columns),
                null_values=list(feed.csv.null_values),
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise FeedError(
            f"{path} does not hold what feed {feed.name} declares: {error}; mend or leave that row"
        ) from error


def _assert_values(values: pd.Series, column: Column, path: Path, is_target: bool) -> None:
    nulls = values.isna()
    checks = {"null": nulls & (is_target or not column.nullable)}
    if pd.api.types.is_float_dtype(values):
        # pyarrow gives pandas NaN for nulls too, so that both are named here
        checks = {"null or NaN": checks["null"], "infinite": pd.Series(np.isinf(values))}
    if column.min is not None:
        checks[f"below {column.min:g}"] = values < column.min
    if column.max is not None:
        checks[f"above {column.max:g}"] = values > column.max
    if column.allowed is not None:
        checks["not an allowed value"] = ~values.isin(list(column.allowed)) & ~nulls
    for what, wrong in checks.items():
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise FeedError(
                f"{path}: '{column.name}' is {what} in {int(wrong.sum())} of {len(values)} rows, first in data row "
                f"{row + 1} ({values.iloc[row]}); leave these rows out or widen the column in the feed's file"
            )
