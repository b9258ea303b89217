"""Rows of the tables in, the sketches of each closed window out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.monitoring.drift.window import WindowLength, closed_windows
from schemas.errors import SettingsError
from schemas.tables import QUARANTINE
from streamscore.statistics.sketches import ColumnSketch, sketches
from streamscore.statistics.verdict import Rejected
from streamscore.tables.tables import Tables

SLICES = 20  # of a column: its most frequent values
VALUES_AT_ONCE = 4_000_000  # read of the columns, and so in memory

PREDICTION = "prediction"
_LINEAGE = ["model_name", "model_version", "model_run_id"]


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """Whose windows follow one another: those of a version, of all rows (empty) or of a slice `column=value`."""

    model_name: str
    model_version: str
    slice: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One closed window.

    Attributes:
        start, end: when its first and its last row were predicted.
        features, predictions: the sketches of its columns.
    """

    series: Series
    run_id: str
    start: datetime
    end: datetime
    files: int
    features: tuple[ColumnSketch, ...]
    predictions: tuple[ColumnSketch, ...]
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are read.

    Attributes:
        since: the time of the oldest.
        done: series → from and to when its windows are known already.
        slice_column: its values are slices, too; empty: none.
    """

    length: WindowLength
    since: datetime
    done: Mapping[Series, tuple[datetime, datetime]]
    slice_column: str = ""


def newest_time(tables: Tables) -> datetime | None:
    """When the newest row was predicted, by the statistics of the table's files; None without rows."""
    actions = pa.table(tables.predictions.handle().get_add_actions(flatten=True))
    if "max.predicted_at" not in actions.column_names:
        return None
    newest = pc.max(actions["max.predicted_at"]).as_py()
    return None if newest is None else newest.replace(tzinfo=UTC) + timedelta(milliseconds=1)  # Delta's are cut to ms


def profile_windows(tables: Tables, wanted: Wanted) -> list[Window]:
    """The closed windows that are not known, oldest first.

    The table is read a few columns at a time; of 1 M rows, 12 columns are 100 MB.

    Raises:
        SettingsError: the table has no such column to slice by.
    """
    rows = _Rows(tables, wanted)
    found = [window for series in rows.series() for window in rows.windows(series)]
    if not found:
        return []
    sketched: list[tuple[list[ColumnSketch], list[ColumnSketch]]] = [([], []) for _ in found]
    for name, values in rows.columns():
        for (_, at, _), (features, predictions) in zip(found, sketched, strict=True):
            (predictions if name == PREDICTION else features).extend(sketches(name, values.take(pa.array(at))))
    made = [
        rows.window(*where, tuple(features), tuple(predictions))
        for where, (features, predictions) in zip(found, sketched, strict=True)
    ]
    return sorted(made, key=lambda window: (window.end, window.series))


class _Rows:
    """The rows that are asked for, of which when, by what version and from which file is in memory."""

    def __init__(self, tables: Tables, wanted: Wanted) -> None:
        self._tables, self._wanted = tables, wanted
        self._dataset = tables.predictions.dataset()
        self._recent = pc.field("predicted_at") >= pa.scalar(wanted.since, pa.timestamp("us", tz="UTC"))
        sliced = [wanted.slice_column] if wanted.slice_column else []
        if sliced and sliced[0] not in (known := tables.feed.arrow_schema.names):
            msg = f"--slice {sliced[0]}: feed {tables.feed.name} has no such column, wanted one of {', '.join(known)}"
            raise SettingsError(msg)
        index = self._dataset.to_table(
            columns=list(dict.fromkeys([*_LINEAGE, "predicted_at", "source_file", *sliced])), filter=self._recent
        )
        self._times = index["predicted_at"].cast(pa.int64()).to_numpy()
        self._files = _codes(index["source_file"])[0]
        self._versions, self._names = _codes(pc.binary_join_element_wise(*_texts(index, _LINEAGE), "\0"))
        self._slices: np.ndarray | None = None
        self._values: list[str] = []
        if sliced:
            self._slices, self._values = _codes(_texts(index, sliced)[0])
        self._quarantine = _rejects(tables, wanted.since)

    def series(self) -> Iterator[tuple[Series, str, np.ndarray]]:
        """Each with the run of its version and its rows, in the order of their times."""
        for version, names in enumerate(self._names):
            name, number, run_id = names.split("\0")
            mine = np.flatnonzero(self._versions == version)
            mine = mine[np.argsort(self._times[mine], kind="stable")]
            yield Series(name, number), run_id, mine
            if self._slices is not None:
                counts = np.bincount(self._slices[mine], minlength=len(self._values))
                for value in np.argsort(-counts, kind="stable")[:SLICES]:
                    title = f"{self._wanted.slice_column}={self._values[value]}"
                    yield Series(name, number, title), run_id, mine[self._slices[mine] == value]

    def windows(self, of: tuple[Series, str, np.ndarray]) -> Iterator[tuple[tuple[Series, str], np.ndarray, int]]:
        """Of the rows that no known window has: whose, the rows, and when the one before ended (0: none did)."""
        series, run_id, mine = of
        parts, newest = [mine], int(self._times.max(initial=0))
        if known := self._wanted.done.get(series):
            first, last = (_microseconds(at) for at in known)
            parts = [mine[self._times[mine] < first], mine[self._times[mine] > last]]
        for part in parts:
            before = 0
            for rows in closed_windows(self._times[part], self._files[part], self._wanted.length, newest):
                yield (series, run_id), part[rows], before
                before = int(self._times[part[rows][-1]])

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The features and the prediction, each in the order of the index."""
        there = set(self._dataset.schema.names)
        names = [c.table_name for c in self._tables.feed.features if c.table_name in there] + [PREDICTION]
        at_once = max(1, VALUES_AT_ONCE // max(1, len(self._times)))
        for start in range(0, len(names), at_once):
            some = self._dataset.to_table(columns=names[start : start + at_once], filter=self._recent)
            for name in some.column_names:
                yield name, some[name].combine_chunks()

    def window(
        self,
        of: tuple[Series, str],
        at: np.ndarray,
        before: int,
        features: tuple[ColumnSketch, ...],
        predictions: tuple[ColumnSketch, ...],
    ) -> Window:
        """The window of these rows; rejects are those between the window before and its end."""
        series, run_id = of
        start, end = int(self._times[at[0]]), int(self._times[at[-1]])
        rejected = 0
        if not series.slice:  # a row in quarantine has no columns to slice by
            times, counts, versions = self._quarantine
            mine = (times > (before or start - 1)) & (times <= end) & (versions == series.model_version)
            rejected = int(counts[mine].sum())
        files = len(np.unique(self._files[at]))
        rows = Rejected(len(at) + rejected, rejected)
        return Window(series, run_id, _time(start), _time(end), files, features, predictions, rows)


def _rejects(tables: Tables, since: datetime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, rows and model versions of what is in quarantine; of a file that cannot be counted one row."""
    if not tables.exists(QUARANTINE):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, object)
    recent = pc.field("quarantined_at") >= pa.scalar(since, pa.timestamp("us", tz="UTC"))
    found = tables.quarantine.dataset().to_table(columns=["quarantined_at", "rows", "model_version"], filter=recent)
    times = found["quarantined_at"].cast(pa.int64()).to_numpy()
    return times, pc.fill_null(found["rows"], 1).to_numpy(), np.array(found["model_version"].to_pylist(), object)


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.indices.to_numpy(), coded.dictionary.to_pylist()


def _texts(table: pa.Table, names: Sequence[str]) -> list[Any]:
    return [pc.fill_null(table[name].cast(pa.string()), "" if name in _LINEAGE else "null") for name in names]


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
