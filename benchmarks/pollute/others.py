"""The readers that users would take instead, each told the dialect and the types, and otherwise as it is.

A reader that has no option for something (Spark and DuckDB: words for booleans; Spark: a decimal comma) is not asked
for these columns.
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found
from benchmarks.pollute.kinds import Kind

_JAVA = {"cp1252": "ISO-8859-1", "latin-1": "ISO-8859-1"}  # Spark takes few encodings; these files look alike in both
AT_ONCE = 4  # files, of Spark jobs
TOGETHER = 64  # files of one job of Spark, which takes as long for one
Read = Callable[[Kind, Path], Found]
_PANDAS = {
    "string": "str", "int": "Int32", "long": "Int64", "double": "float64", "float": "float32", "boolean": "boolean",
    "date": "str", "timestamp": "str",
}  # fmt: skip
_DUCKDB = {
    "string": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "double": "DOUBLE", "float": "FLOAT", "boolean": "BOOLEAN",
    "date": "DATE", "timestamp": "TIMESTAMP",
}  # fmt: skip


def read_each(outcomes: Sequence[Outcome], read: Read) -> Mapping[Path, Found]:
    """Every file by itself, as one that cannot be read must not cost the others; some at once."""
    warnings.simplefilter("ignore")  # pandas warns of names that are there twice

    def read_one(outcome: Outcome) -> Found:
        try:
            return read(outcome.kind, outcome.path)
        except Exception as error:
            return Found(error=f"{type(error).__name__}: {error}"[:200])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip([outcome.path for outcome in outcomes], pool.map(read_one, outcomes), strict=True))


def with_pandas(kind: Kind, path: Path) -> Found:
    """`pandas.read_csv` with dtypes; dates and times by `to_datetime`."""
    in_file = [kind.columns[at] for at in kind.in_file]
    # pandas takes groups of thousands in its own integers only
    grouped = [c for c in in_file if kind.thousands and c["type"] in ("int", "long")]
    frame = pd.read_csv(
        path,
        sep=kind.delimiter,
        quotechar=kind.quote,
        escapechar=kind.escape,
        encoding=kind.encoding,
        decimal=kind.decimal,
        thousands=kind.thousands,
        comment=kind.comment,
        skiprows=kind.skip_lines,
        na_values=list(kind.nulls),
        keep_default_na=False,
        true_values=kind.csv.get("true_values"),
        false_values=kind.csv.get("false_values"),
        header=0 if kind.has_header else None,
        names=None if kind.has_header else [column["name"] for column in in_file],
        dtype={c["name"]: _PANDAS[c["type"]] for c in in_file if c not in grouped},
        index_col=False if not kind.has_header else None,
    )
    values: list[list[Any]] = []
    for column in kind.columns:
        if column.get("source") == "folder":
            values.append([...] * len(frame))
            continue
        may_lack = column.get("role") == "target" or (kind.csv.get("missing_columns") and column.get("nullable"))
        if column["name"] not in frame and may_lack:
            values.append([...] * len(frame))
            continue
        series = frame[column["name"]]
        if column in grouped:
            series = pd.to_numeric(series).astype(_PANDAS[column["type"]])
        if column["type"] in ("date", "timestamp"):
            zone = column.get("zone")
            times = pd.to_datetime(series, format=column.get("format", "ISO8601"), utc=zone is None)
            times = times.dt.tz_localize(zone) if zone else times
            series = times.dt.date if column["type"] == "date" else times
        values.append([None if value is pd.NaT else value for value in series.astype(object)])
    return Found([tuple(None if _is_null(v) else _plain(v) for v in row) for row in zip(*values, strict=True)])


def as_asked(found: Found) -> Found:
    """What somebody sees who asks Spark for `columnNameOfCorruptRecord`, and takes only what fits."""
    marked = list(zip(found.rows, found.is_corrupt or (), strict=True))
    good = [row for row, is_corrupt in marked if not is_corrupt]
    return replace(found, rows=good, told=len(marked) - len(good))


def _is_null(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def duckdb_sql(kind: Kind, more: str) -> str:
    """The call of `read_csv` with everything that the feed says."""

    def text(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    in_file = [kind.columns[at] for at in kind.in_file]
    types = {c["name"]: "VARCHAR" if _is_word(c, kind) else _DUCKDB[c["type"]] for c in in_file}
    types |= {c["name"]: "TIMESTAMPTZ" for c in in_file if c["type"] == "timestamp" and "format" not in c}
    listed = ", ".join(f"{text(name)}: {text(type_)}" for name, type_ in types.items())
    options = [
        f"delim={text(kind.delimiter)}", f"quote={text(kind.quote)}", f"escape={text(kind.escape or kind.quote)}",
        f"header={str(kind.has_header).lower()}", f"skip={0 if kind.comment else kind.skip_lines}",
        f"nullstr=[{', '.join(map(text, kind.nulls))}]", f"decimal_separator={text(kind.decimal)}",
        f"{'types' if kind.has_header else 'columns'}={{{listed}}}",
    ]  # fmt: skip
    if kind.thousands:
        options.append(f"thousands={text(kind.thousands)}")
    if kind.comment:
        options.append(f"comment={text(kind.comment)}")
    if kind.encoding != "utf-8":
        options.append(f"encoding={text({'cp1252': 'latin-1'}.get(kind.encoding, kind.encoding))}")
    for name, type_ in (("dateformat", "date"), ("timestampformat", "timestamp")):
        if formats := {c["format"] for c in in_file if c["type"] == type_ and "format" in c}:
            options.append(f"{name}={text(formats.pop())}")
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in types}
    names = ", ".join(f"epoch_us({q})" if types[n] == "TIMESTAMPTZ" else q for n, q in quoted.items())
    return f"SELECT {names} FROM read_csv(?, {', '.join(options)}{more})"


def with_duckdb(kind: Kind, path: Path) -> Found:
    """DuckDB's `read_csv`, which raises at the first row that does not fit."""
    with duckdb.connect() as database:
        rows = database.execute(duckdb_sql(kind, ""), [str(path)]).fetchall()
    return Found([_as_fed(row, kind) for row in rows])


def with_duckdb_rejects(kind: Kind, path: Path) -> Found:
    """The same with `store_rejects`, which leaves such rows out and lists their lines."""
    with duckdb.connect() as database:
        rows = database.execute(duckdb_sql(kind, ", store_rejects=true"), [str(path)]).fetchall()
        lines = {line for (line,) in database.execute("SELECT DISTINCT line FROM reject_errors").fetchall()}
    return Found([_as_fed(row, kind) for row in rows], told=len(lines))


def _is_word(column: Mapping[str, Any], kind: Kind) -> bool:
    return column["type"] == "boolean" and "true_values" in kind.csv


def _as_fed(row: Sequence[Any], kind: Kind) -> tuple[Any, ...]:
    """In the feed's order; `...` where the reader was not asked."""
    found: list[Any] = [...] * len(kind.columns)
    for at, value in zip(kind.in_file, row, strict=True):
        column = kind.columns[at]
        if _is_word(column, kind):
            continue
        if (zone := column.get("zone")) and isinstance(value, datetime):
            value = value.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        elif column["type"] == "timestamp" and isinstance(value, int):
            value = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
        found[at] = value
    return tuple(found)


class WithSpark:
    """Spark's CSV source with a schema, and `_corrupt_record` in it, which says what did not fit."""

    def __init__(self) -> None:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").appName("pollute").config("spark.ui.enabled", "false")
        builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.driver.host", "127.0.0.1")
        self._spark = builder.getOrCreate()
        self._spark.sparkContext.setLogLevel("OFF")

    def __call__(self, outcomes: Sequence[Outcome]) -> Mapping[Path, Found]:
        """Every file as if it were read by itself, but many in one job."""
        groups = [outcomes[first : first + TOGETHER] for first in range(0, len(outcomes), TOGETHER)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {path: found for read in pool.map(self._group, groups) for path, found in read.items()}

    def _group(self, outcomes: Sequence[Outcome]) -> dict[Path, Found]:
        """What one job reads; without a file at which it ends, which Spark mostly names, it begins again."""
        if not outcomes:
            return {}
        try:
            return self._read(outcomes[0].kind, [outcome.path for outcome in outcomes])
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if len(outcomes) == 1:
            return {outcomes[0].path: Found(error=said[:200])}
        named = [outcome for outcome in outcomes if str(outcome.path) in unquote(said)]
        if not named:
            half = len(outcomes) // 2
            return self._group(outcomes[:half]) | self._group(outcomes[half:])
        ends = max(named, key=lambda outcome: len(str(outcome.path)))  # a name may begin as another one does
        others = [outcome for outcome in outcomes if outcome is not ends]
        return {ends.path: Found(error=said[:200])} | self._group(others)

    def _read(self, kind: Kind, paths: Sequence[Path]) -> dict[Path, Found]:
        in_file = [kind.columns[at] for at in kind.in_file]
        types = {"int": "INT", "long": "BIGINT", "timestamp": "TIMESTAMP"}
        fields = [f"`{c['name']}` {self._type(c, kind) or types.get(c['type'], c['type'].upper())}" for c in in_file]
        options: dict[str, Any] = {
            "sep": kind.delimiter, "quote": kind.quote, "escape": kind.escape or kind.quote, "header": kind.has_header,
            "encoding": _JAVA.get(kind.encoding, kind.encoding), "multiLine": kind.encoding != "utf-16",
            "nullValue": kind.nulls[-1],
        }  # fmt: skip
        if kind.comment:
            options["comment"] = kind.comment
        for column in in_file:
            if "format" in column:
                pattern = {"date": "dd.MM.yyyy", "timestamp": "dd.MM.yyyy HH:mm:ss"}[column["type"]]
                options[f"{column['type']}Format"] = pattern
        fields.append("_corrupt_record STRING")
        options["columnNameOfCorruptRecord"] = "_corrupt_record"
        for path in paths:
            os.stat(path)
        frame = self._spark.read.schema(", ".join(fields)).options(**options).csv([_pattern(path) for path in paths])
        found = {path: Found(is_corrupt=[]) for path in paths}
        for *row, is_corrupt, uri in frame.select("*", "_metadata.file_path").collect():
            one = found[Path(unquote(urlsplit(uri).path))]
            one.rows.append(self._as_fed(row, kind))
            one.is_corrupt.append(is_corrupt is not None)  # type: ignore[union-attr]
        return found

    def _type(self, column: Mapping[str, Any], kind: Kind) -> str:
        is_text = _is_word(column, kind) or (kind.decimal == "," and column["type"] in ("double", "int", "float"))
        return "STRING" if is_text else ""

    def _as_fed(self, row: Sequence[Any], kind: Kind) -> tuple[Any, ...]:
        found: list[Any] = [...] * len(kind.columns)
        for at, value in zip(kind.in_file, row, strict=True):
            column = kind.columns[at]
            if self._type(column, kind):
                continue
            if isinstance(value, datetime):  # naive, in this machine's own zone
                value = value.astimezone(UTC)
                if zone := column.get("zone"):
                    value = value.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            found[at] = value
        return tuple(found)

    def close(self) -> None:
        self._spark.stop()


def _pattern(path: Path) -> str:
    """A path as Spark takes it, who reads patterns."""
    where = str(path).replace("\\", "\\\\")
    for special in "{}[]*?":
        where = where.replace(special, f"\\{special}")
    return Path(where).as_posix()
