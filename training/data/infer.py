"""`streamscore schema --from-data FILE`: a feed's YAML out of the columns that a CSV or Parquet file has."""

from collections import Counter
from pathlib import Path

from schemas.errors import FeedError, SettingsError
from schemas.propose import feed_text
from streamscore.statistics.profiles import ColumnProfile
from training.data.profile_files import profile_files
from training.data.read import data_files, is_parquet

MAX_ALLOWED = 20  # values; as many as a profile counts
ROWS_PER_VALUE = 5  # on average, for text to be taken for one of few values

# Arrow's types → a feed's; the narrowest that holds all values. Other text and numbers: `string` and `double`.
TYPES = {
    "bool": "boolean",
    "int8": "int",
    "int16": "int",
    "int32": "int",
    "uint8": "int",
    "uint16": "int",
    "int64": "long",
    "uint32": "long",
    "float": "float",
    "date32[day]": "date",
}
BY_KIND = {"number": "double", "text": "string", "boolean": "boolean", "time": "timestamp"}


def propose_feed(path: Path, name: str, target: str = "", *, limits: bool = False) -> str:
    """The text of a `schemas/<name>.yaml` for files like this one.

    Types and nullability are what the file has in all its rows; the first date or timestamp gets the role `time`,
    further ones `carry`.

    Args:
        path: CSV or Parquet, a file or a folder; the delimiter of CSV is found, `,` is proposed for Parquet.
        target: the column to predict; it may then be missing in landed files.
        limits: propose the range of numbers and the values of few-valued text, too. The next file may well hold
            others: ranges from 1,000 rows of the white wine data refuse 1 to 3 % of the other rows.

    Raises:
        SettingsError: no such file, or no such target.
        FeedError: it cannot be read, or its names make no feed.
    """
    found = profile_files(path)
    if target and found.column(target) is None:
        names = ", ".join(column.name for column in found.columns)
        msg = f"--target {target}: {path} has no such column; it has {names}"
        raise SettingsError(msg)
    first_time = next((column.name for column in found.columns if column.kind == "time"), None)
    columns = [_proposed(column, target, first_time, limits) for column in found.columns]
    notes = [
        f"Proposed from {found.rows} rows of {path.name}"
        + (": widen what they say of ranges and allowed values." if limits else "; add min, max and allowed."),
        "Give columns that are no feature their role: key, time, target or carry.",
    ]
    return feed_text(name, f"models:/{name}@production", _delimiter(path), columns, str(path), notes)


def propose_series(path: Path, name: str, *, limits: bool = False) -> str:
    """The text of a `schemas/<name>.yaml` of kind series for files like this one.

    The first date or timestamp without nulls is the time. Numbers without nulls, of which there is more than one, are
    the features, as doubles. If times are there more than once, text columns with values that repeat are the keys.
    All other columns are carried along.

    Args:
        path, limits: as of `propose_feed`.

    Raises:
        SettingsError: no such file.
        FeedError: it cannot be read, or has no time or no numbers.
    """
    found = profile_files(path)
    time = next((c for c in found.columns if c.kind == "time" and not c.nulls), None)
    if time is None:
        kinds = ", ".join(f"{c.name} ({c.kind})" for c in found.columns)
        msg = (
            f"{path} has no column of dates or times as ISO 8601 writes them in every row, and a series wants one; "
            f"it has {kinds}; write the feed by hand, with a format for its time: docs/feeds.md"
        )
        raise FeedError(msg)
    has_keys = time.distinct < time.rows
    columns = [_of_series(column, time, limits, has_keys=has_keys) for column in found.columns]
    if not any("role" not in column for column in columns):
        msg = f"{path} has no column of numbers without nulls that differ, and a series forecasts such; mend the file"
        raise FeedError(msg)
    notes = [
        f"Proposed from {found.rows} rows of {path.name}"
        + (": widen what they say of ranges." if limits else "; add min and max."),
        "Features are forecast. Give others their role: exogenous (the forecasts depend on it), key or carry.",
        f"To train it, write conf/training/{name}.yaml with the lines",
        "split: {by: time}",
        "estimator: {name: var}",
    ]
    return feed_text(name, f"models:/{name}@production", _delimiter(path), columns, str(path), notes, "series")


def _of_series(column: ColumnProfile, time: ColumnProfile, limits: bool, *, has_keys: bool) -> dict[str, object]:
    if column.name == time.name:
        return {"name": column.name, "type": TYPES.get(column.type, BY_KIND["time"]), "role": "time"}
    made = _proposed(column, "", None, limits)
    if column.kind == "number" and not (column.nulls or column.not_finite or column.is_constant):
        return made | {"type": "float" if made["type"] == "float" else "double"}
    if column.kind == "text" and has_keys and not column.nulls and column.distinct < column.rows:
        return made | {"role": "key"}
    return made | {"role": "carry"}


def _proposed(column: ColumnProfile, target: str, first_time: str | None, limits: bool) -> dict[str, object]:
    kind = TYPES.get(column.type, BY_KIND[column.kind])
    made: dict[str, object] = {"name": column.name, "type": kind}
    if column.name == target:
        made["role"] = "target"
    elif column.kind == "time":
        made["role"] = "time" if column.name == first_time else "carry"
    if column.nulls or column.name == target:
        made["nullable"] = True
    if limits and column.kind == "number" and column.min is not None and column.max is not None:
        whole = kind in ("int", "long")
        made |= {"min": int(column.min) if whole else column.min, "max": int(column.max) if whole else column.max}
    if column.not_finite:
        made["finite"] = False
    few = 0 < column.distinct <= min(MAX_ALLOWED, column.rows // ROWS_PER_VALUE)
    if limits and column.kind == "text" and few:
        made["allowed"] = sorted(value for value, _ in column.values)
    return made


def _delimiter(path: Path) -> str:
    """Of a CSV file; `,` for Parquet.

    Raises:
        FeedError: a name is twice in the header. DuckDB numbers them, and the feed would want names that no file has.
    """
    file = data_files(path, "")[0]
    if is_parquet(file):
        return ","
    import duckdb

    with duckdb.connect() as engine:
        sniffed = engine.execute("SELECT Delimiter FROM sniff_csv(?, header=true, sample_size=-1)", [str(file)])
        delimiter = str((sniffed.fetchone() or (",",))[0])
        first = "SELECT * FROM read_csv(?, delim=?, header=false, all_varchar=true, null_padding=true) LIMIT 1"
        header = engine.execute(first, [str(file), delimiter]).fetchone() or ()
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        msg = f"{file} has the column '{twice[0]}' twice, wanted each name once; rename one in its first line"
        raise FeedError(msg)
    return delimiter
