"""`streamscore schema --from-data FILE`: a feed's YAML out of the columns that a CSV or Parquet file has."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from schemas.errors import FeedError, SettingsError
from schemas.propose import feed_text
from streamscore.statistics.profiles import ColumnProfile, Profile
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
# Names of what tells rows apart, as `id`, `order_id`, `Order ID`, `orderId`, and pandas' index.
NAMES_ROWS = re.compile(r"(?i:(?:.*[\W_])?(?:id|uuid|guid|key)|index|row|unnamed: 0)|.*[a-z]I[dD]")
MANY = 20  # rows, from which on whole numbers are taken for a count of them
SPREAD = 2  # of such a count: at least every second number is there

BY_KIND = {"number": "double", "text": "string", "boolean": "boolean", "time": "timestamp"}


def propose_feed(path: Path, name: str, target: str = "", *, limits: bool = False) -> str:
    """The text of a `schemas/<name>.yaml` for files like this one.

    Types and nullability are what the file has in all its rows; the first date or timestamp gets the role `time`,
    further ones `carry`. What tells rows apart is no feature: whole numbers that are all different, and at least every
    second of which is there, and numbers and text with a name as `id` or `order_id`. It gets the role `key`; if its
    values repeat, numbers get `carry`, and text stays a feature. A column without a name is passed over.

    Args:
        path: CSV or Parquet, a file or a folder; the delimiter of CSV is found, `,` is proposed for Parquet.
        target: the column to predict; it may then be missing in landed files.
        limits: propose the range of numbers and the values of few-valued text, too. The next file may well hold
            others: ranges from 1,000 rows of the white wine data refuse 1 to 3 % of the other rows.

    Raises:
        SettingsError: no such file, or no such target.
        FeedError: it cannot be read, or its names make no feed.
    """
    found, csv = _named_columns(path)
    if target and found.column(target) is None:
        names = ", ".join(column.name for column in found.columns)
        msg = f"--target {target}: {path} has no such column; it has {names}"
        raise SettingsError(msg)
    first_time = next((column.name for column in found.columns if column.kind == "time"), None)
    no_features = {column.name: role for column in found.columns if (role := _no_feature(column, target))}
    if len(no_features) == sum(column.kind != "time" and column.name != target for column in found.columns):
        no_features = {}  # a feed wants some
    columns = [_proposed(column, target, first_time, limits) for column in found.columns]
    for made in columns:
        if made["name"] in no_features:
            made["role"] = no_features[str(made["name"])]
    notes = [
        f"Proposed from {found.rows} rows of {path.name}"
        + (": widen what they say of ranges and allowed values." if limits else "; add min, max and allowed."),
        "Give columns that are no feature their role: key, time, target or carry.",
        *_told(no_features),
        *_told_of_extra(csv),
    ]
    return feed_text(name, f"models:/{name}@production", csv, columns, str(path), notes)


def propose_series(path: Path, name: str, *, limits: bool = False) -> str:
    """The text of a `schemas/<name>.yaml` of kind series for files like this one.

    The first date or timestamp without nulls is the time. Numbers without nulls, of which there is more than one, are
    the features, as doubles. If times are there more than once, columns of text, and of whole numbers with a name as
    `sensor_id`, whose values repeat are the keys. All other columns are carried along, those that tell rows apart too.

    Args:
        path, limits: as of `propose_feed`.

    Raises:
        SettingsError: no such file.
        FeedError: it cannot be read, or has no time or no numbers.
    """
    found, csv = _named_columns(path)
    time = next((c for c in found.columns if c.kind == "time" and not c.nulls), None)
    if time is None:
        kinds = ", ".join(f"{c.name} ({c.kind})" for c in found.columns)
        msg = (
            f"{path} has no column of dates or times as ISO 8601 writes them in every row, and a series wants one; "
            f"it has {kinds}; write the feed by hand, with a format for its time: docs/feeds.md"
        )
        raise FeedError(msg)
    has_keys = time.distinct < time.rows
    no_features = {column.name: "carry" for column in found.columns if _no_feature(column)}
    columns = [_of_series(column, time, limits, has_keys=has_keys) for column in found.columns]
    if not any("role" not in column for column in columns):
        msg = f"{path} has no column of numbers without nulls that differ, and a series forecasts such; mend the file"
        raise FeedError(msg)
    notes = [
        f"Proposed from {found.rows} rows of {path.name}"
        + (": widen what they say of ranges." if limits else "; add min and max."),
        "Features are forecast. Give others their role: exogenous (the forecasts depend on it), key or carry.",
        *_told({str(c["name"]): str(c.get("role")) for c in columns if c["name"] in no_features}),
        *_told_of_extra(csv),
        f"To train it, write conf/training/{name}.yaml with the lines",
        "split: {by: time}",
        "estimator: {name: var}",
    ]
    return feed_text(name, f"models:/{name}@production", csv, columns, str(path), notes, "series")


def _of_series(column: ColumnProfile, time: ColumnProfile, limits: bool, *, has_keys: bool) -> dict[str, object]:
    if column.name == time.name:
        return {"name": column.name, "type": TYPES.get(column.type, BY_KIND["time"]), "role": "time"}
    made = _proposed(column, "", None, limits)
    tells = bool(_no_feature(column))
    repeats = not column.nulls and 1 < column.distinct < column.rows
    if has_keys and repeats and (tells or column.kind == "text"):
        return made | {"role": "key"}
    if not tells and column.kind == "number" and not (column.nulls or column.not_finite or column.is_constant):
        return made | {"type": "float" if made["type"] == "float" else "double"}
    return made | {"role": "carry"}


def _no_feature(column: ColumnProfile, target: str = "") -> str:
    """The role of a column that tells rows apart: `key`, or `carry` if its values repeat; empty of any other one."""
    is_named = NAMES_ROWS.fullmatch(column.name.strip()) is not None
    is_whole = column.kind == "number" and TYPES.get(column.type) in ("int", "long")
    if column.name == target or not (is_whole or column.kind == "text" or (is_named and column.kind == "number")):
        return ""
    if column.nulls or column.distinct < column.rows:
        return "carry" if is_named and column.kind == "number" else ""
    first, last = column.min or 0, column.max or 0
    is_count = is_whole and column.rows >= MANY and last - first < SPREAD * column.rows
    return "key" if is_named or is_count else ""


def _told(roles: Mapping[str, str]) -> list[str]:
    """The notes of columns that were taken for no features."""
    if not roles:
        return []
    said = ", ".join(f"{name} ({role})" for name, role in roles.items())
    return [f"By its name or its numbers, this tells rows apart: {said}. Take the role away if it is a feature."]


def _proposed(column: ColumnProfile, target: str, first_time: str | None, limits: bool) -> dict[str, object]:
    kind = TYPES.get(column.type, BY_KIND[column.kind])
    if kind in ("double", "float") and _no_feature(column, target):
        kind = "string"  # as pandas writes whole numbers beside nulls, or more digits than a double has
    made: dict[str, object] = {"name": column.name, "type": kind}
    if column.name == target:
        made["role"] = "target"
    elif column.kind == "time":
        made["role"] = "time" if column.name == first_time else "carry"
    if column.nulls or column.name == target:
        made["nullable"] = True
    if limits and column.kind == "number" and kind != "string" and column.min is not None and column.max is not None:
        whole = kind in ("int", "long")
        made |= {"min": int(column.min) if whole else column.min, "max": int(column.max) if whole else column.max}
    if column.not_finite and kind != "string":
        made["finite"] = False
    few = 0 < column.distinct <= min(MAX_ALLOWED, column.rows // ROWS_PER_VALUE)
    if limits and column.kind == "text" and few:
        made["allowed"] = sorted(value for value, _ in column.values)
    return made


def _named_columns(path: Path) -> tuple[Profile, dict[str, str]]:
    """The statistics of the columns that have a name, and the `csv` block of a feed for such files."""
    found = profile_files(path)
    file = data_files(path, "")[0]
    delimiter, header = (",", []) if is_parquet(file) else _first_line(file)
    csv = {"delimiter": delimiter, "header": "exact"}
    unnamed = {column.name for column, name in zip(found.columns, header, strict=False) if not name}
    if not unnamed:
        return found, csv
    named = tuple(column for column in found.columns if column.name not in unnamed)
    return replace(found, columns=named), csv | {"extra_columns": "ignore"}


def _told_of_extra(csv: Mapping[str, str]) -> list[str]:
    return ["A column has no name, as pandas' index: extra_columns passes it over."] if "extra_columns" in csv else []


def _first_line(file: Path) -> tuple[str, list[str]]:
    """The delimiter of a CSV file, and the names in its header, which may be empty.

    Raises:
        FeedError: a name is twice in the header. DuckDB numbers them, and the feed would want names that no file has.
    """
    import duckdb

    with duckdb.connect() as engine:
        sniffed = engine.execute("SELECT Delimiter FROM sniff_csv(?, header=true, sample_size=-1)", [str(file)])
        delimiter = str((sniffed.fetchone() or (",",))[0])
        first = "SELECT * FROM read_csv(?, delim=?, header=false, all_varchar=true, null_padding=true) LIMIT 1"
        header = [name or "" for name in engine.execute(first, [str(file), delimiter]).fetchone() or ()]
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        msg = f"{file} has the column '{twice[0]}' twice, wanted each name once; rename one in its first line"
        raise FeedError(msg)
    return delimiter, header
