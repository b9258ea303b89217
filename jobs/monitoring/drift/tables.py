"""The tables `drift_profiles` and `drift`: windows and verdicts as rows, appended once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.monitoring.drift.profiles import Series, Window
from schemas.errors import ConflictError, TryAgainError
from schemas.tables import DRIFT, DRIFT_PROFILES, DRIFT_PROFILES_SCHEMA, DRIFT_SCHEMA
from streamscore.statistics.sketches import ColumnSketch
from streamscore.statistics.verdict import REJECTS, ColumnTest, Rejected
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.make import make_table
from streamscore.tables.parts import write_part
from streamscore.tables.tables import Tables

SCHEMAS = {DRIFT_PROFILES: DRIFT_PROFILES_SCHEMA, DRIFT: DRIFT_SCHEMA}
WRITER = "drift"  # the app whose transactions keep two runs at once from appending the same


@dataclass(frozen=True, slots=True)
class Appender:
    """A table as it was when it was read: `append` fails if somebody else appended since."""

    table: DeltaLog
    schema: pa.Schema
    number: int

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows in one commit; none is made of no rows.

        Raises:
            TryAgainError: another run appended meanwhile.
        """
        if not rows:
            return
        part = write_part(pa.Table.from_pylist(list(rows), self.schema), self.table.folder)
        try:
            self.table.append([part], WRITER, self.number, "")
        except ConflictError as error:
            msg = f"{self.table.uri}: another `streamscore drift` appended to it meanwhile; run the same again"
            raise TryAgainError(msg) from error


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of `drift`.

    Attributes:
        window: its end tells which of the series.
        test: None: there was none, and `note` says why.
        cause: `new data` or `new model`; empty: it did not drift.
    """

    window: Window
    baseline: str
    column: str
    test: ColumnTest | None
    alarm: bool = False
    cause: str = ""
    note: str = ""


def read(tables: Tables, name: str, window: str, since: datetime) -> tuple[Appender, list[dict[str, Any]]]:
    """The rows of windows of one length that ended since, and what appends to them.

    The table is made if it is missing.
    """
    if not tables.exists(name):
        make_table(tables.uri(name), SCHEMAS[name], tables.storage)
    table = tables.log(name)
    table.refresh()
    number = table.transaction(WRITER)
    recent = pc.field("window_end") >= pa.scalar(since, pa.timestamp("us", tz="UTC"))
    found = table.dataset().to_table(filter=recent & (pc.field("window") == window))
    return Appender(table, SCHEMAS[name], 0 if number is None else number + 1), found.to_pylist()


def profile_rows(window: Window, length: str) -> Iterator[dict[str, Any]]:
    """A window as rows of `drift_profiles`: one for each column, and one for its rejects."""
    rejects = ColumnSketch(REJECTS, "boolean", window.rejected.rows, window.rejected.rejected)
    parts = (("feature", window.features), ("prediction", window.predictions), ("rejects", (rejects,)))
    for part, columns in parts:
        for column in columns:
            values = asdict(column)
            pairs = [{"value": value, "rows": rows} for value, rows in column.values]
            yield (
                _of(window, length, values.pop("name"))
                | values
                | {
                    "part": part,
                    "values": pairs,
                    "files": window.files,
                    "model_run_id": window.run_id,
                }
            )


def windows_of(rows: Iterable[dict[str, Any]]) -> list[Window]:
    """The windows in rows of `drift_profiles`, oldest first."""
    by_window: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (
            Series(row["model_name"], row["model_version"], row["slice"] or ""),
            row["window_start"],
            row["window_end"],
        )
        by_window.setdefault(key, []).append(row)
    made = []
    for (series, start, end), columns in by_window.items():
        parts: dict[str, list[ColumnSketch]] = {"feature": [], "prediction": [], "rejects": []}
        for row in columns:
            parts[row["part"]].append(_sketch(row))
        (rejects,) = parts["rejects"]
        rejected = Rejected(rejects.rows, rejects.missing)
        first = columns[0]
        sketches = tuple(parts["feature"]), tuple(parts["prediction"])
        made.append(Window(series, first["model_run_id"] or "", start, end, first["files"], *sketches, rejected))
    return sorted(made, key=lambda window: (window.end, window.series))


def drift_row(judged: Judged, length: str) -> dict[str, Any]:
    """A row of `drift`."""
    row = _of(judged.window, length, judged.column) | {
        "baseline": judged.baseline,
        "drifted": False,
        "alarm": judged.alarm,
        "cause": judged.cause or None,
        "note": judged.note or None,
    }
    if (test := judged.test) is None:
        return row
    values = asdict(test)
    far = values.pop("distances")
    return (
        row | far | {"effect_low": values.pop("low"), "effect_high": values.pop("high"), "floor": test.floor} | values
    )


def _of(window: Window, length: str, column: str) -> dict[str, Any]:
    return {
        "window": length,
        "window_start": window.start,
        "window_end": window.end,
        "model_name": window.series.model_name,
        "model_version": window.series.model_version,
        "slice": window.series.slice or None,
        "column": column,
    }


def _sketch(row: dict[str, Any]) -> ColumnSketch:
    names = ("kind", "rows", "missing", "min", "max", "mean", "std", "other")
    values = tuple((pair["value"], pair["rows"]) for pair in row["values"] or ())
    return ColumnSketch(
        row["column"], quantiles=tuple(row["quantiles"] or ()), values=values, **{n: row[n] for n in names}
    )
