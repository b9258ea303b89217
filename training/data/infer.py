"""`streamscore schema --from-data FILE`: a feed's YAML out of the columns that a CSV or Parquet file has."""

from pathlib import Path

from schemas.errors import SettingsError
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
    file = data_files(path, "")[0]
    if is_parquet(file):
        return ","
    import duckdb

    with duckdb.connect() as engine:
        sniffed = engine.execute("SELECT Delimiter FROM sniff_csv(?, header=true, sample_size=-1)", [str(file)])
        return str((sniffed.fetchone() or (",",))[0])
