"""The newest observations of each series: a function of the forecasts table alone, so that no second store can differ.

An observation is one row of the table with a step of at most 1; of two with the same time the one accepted last counts.
"""

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import Feed
from streamscore.models.series_model import Floats
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.log_entry import unusable

ROWS_AT_ONCE = 262_144  # observations read from the table between two prunings; bounds what a start holds

Integers = npt.NDArray[np.int64]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The newest observations of one series, oldest first.

    Attributes:
        times: ascending, each once; days since 1970 for dates, microseconds for timestamps.
        values: shape (observations, columns of `feed.observed`).
    """

    times: Integers
    values: Floats


@dataclass(frozen=True, slots=True)
class History:
    """What was observed before a micro-batch.

    Attributes:
        window_rows: the most observations that are kept of a series.
        windows: by the values of the feed's key columns.
        last: the number of the observation accepted last, 0 if none.
    """

    window_rows: int
    windows: Mapping[Key, Window]
    last: int = 0


def read_history(log: DeltaLog, feed: Feed, window_rows: int) -> History:
    """The newest `window_rows` observations of each series in the forecasts table.

    Memory is bounded by what is kept and ROWS_AT_ONCE. Observations from before the feed had all of its numbers are
    passed over.

    Raises:
        StorageError: the table cannot be read.
    """
    values = [c.table_name for c in feed.observed]
    columns = [*(c.table_name for c in feed.keys), feed.time.table_name, *values, "observation"]
    whole = functools.reduce(operator.and_, (pc.field(name).is_valid() for name in values))
    dataset = log.dataset()
    last, waiting = 0, 0
    pending = [pa.schema([dataset.schema.field(name) for name in columns]).empty_table()]
    try:
        for batch in dataset.to_batches(columns=columns, filter=pc.field("step") <= 1):
            if batch.num_rows:
                last = max(last, pc.max(batch["observation"]).as_py())
                pending.append(pa.Table.from_batches([batch]).filter(whole))
                waiting += batch.num_rows
                if waiting >= max(ROWS_AT_ONCE, pending[0].num_rows):  # as many as were kept: no row is sorted often
                    pending, waiting = [_newest(pa.concat_tables(pending), feed, window_rows)], 0
    except OSError as error:
        raise unusable(log.uri, "read", error) from error
    kept = _newest(pa.concat_tables(pending), feed, window_rows)
    return History(window_rows, StoredWindows(kept, feed), last)


class StoredWindows(Mapping[Key, Window]):
    """Windows as they were read, in two arrays: at a million series a `Window` for each would take 300 MB more."""

    def __init__(self, table: pa.Table, feed: Feed) -> None:
        """Take over a table with the feed's columns, each series in one stretch, oldest first."""
        self._times, self._values = times_of(table, feed), values_of(table, feed)
        ids = _series_ids(table, feed)
        starts = np.append(np.zeros(min(len(ids), 1), np.int64), np.flatnonzero(np.diff(ids)) + 1)
        self._edges = np.append(starts, len(ids))
        self._at = {key: at for at, key in enumerate(_keys(table, feed, starts))}

    def __getitem__(self, key: Key) -> Window:
        at = self._at[key]
        rows = slice(self._edges[at], self._edges[at + 1])
        return Window(self._times[rows], self._values[rows])

    def __iter__(self) -> Iterator[Key]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class ChangedWindows(Mapping[Key, Window]):
    """Windows of which some were replaced: layers, each at most half as large as the one below it."""

    def __init__(self, layers: Sequence[Mapping[Key, Window]]) -> None:
        self.layers = layers

    def __getitem__(self, key: Key) -> Window:
        for layer in self.layers:
            if (found := layer.get(key)) is not None:
                return found
        raise KeyError(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(dict.fromkeys(key for layer in self.layers for key in layer))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def with_changes(windows: Mapping[Key, Window], changed: Mapping[Key, Window]) -> Mapping[Key, Window]:
    """Other windows for some keys. What did not change is shared: a copy of a million for each chunk took 30 ms."""
    if not changed:
        return windows
    below = list(windows.layers) if isinstance(windows, ChangedWindows) else [windows]
    while below and len(below[0]) < 2 * len(changed):
        changed = {**below.pop(0), **changed}
    return ChangedWindows([changed, *below])


def by_series(table: pa.Table, feed: Feed) -> Iterator[tuple[Key, Integers]]:
    """Each series in a table with the feed's columns, and its rows in the order in which they stand there."""
    if not table.num_rows:
        return
    ids = _series_ids(table, feed)
    order = np.argsort(ids, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    yield from zip(_keys(table, feed, [group[0] for group in groups]), groups, strict=True)


def times_of(table: pa.Table, feed: Feed) -> Integers:
    """The times of the rows as numbers: days for dates, microseconds for timestamps."""
    times = table[feed.time.table_name]
    return (times.cast(pa.int32()) if feed.time.type == "date" else times).cast(pa.int64()).to_numpy()


def values_of(table: pa.Table, feed: Feed) -> Floats:
    """The numbers of the rows, shape (rows, columns of `feed.observed`)."""
    return np.column_stack([table[c.table_name].to_numpy().astype(np.float64) for c in feed.observed])


def _keys(table: pa.Table, feed: Feed, rows: Sequence[int] | Integers) -> Iterable[Key]:
    """The key of the series of each of these rows."""
    if not feed.keys:
        return [()] * len(rows)
    first = table.select([c.table_name for c in feed.keys]).take(pa.array(rows, pa.int64()))
    return zip(*(column.to_pylist() for column in first.columns), strict=True)


def _series_ids(table: pa.Table, feed: Feed) -> Integers:
    """A number for each row, equal where all key columns are equal; null is a value like others."""
    ids = np.zeros(table.num_rows, np.int64)
    for column in feed.keys:
        codes = table[column.table_name].combine_chunks().dictionary_encode("encode")
        ids = ids * len(codes.dictionary) + codes.indices.to_numpy()
        ids = np.unique(ids, return_inverse=True)[1]  # small again: the product of several could overflow
    return ids


def _newest(table: pa.Table, feed: Feed, window_rows: int) -> pa.Table:
    """Of each series the newest observations, oldest first; of each time the one accepted last."""
    ids, times = _series_ids(table, feed), times_of(table, feed)
    order = np.lexsort((table["observation"].to_numpy(), times, ids))
    ids, times = ids[order], times[order]
    is_last = np.append((np.diff(ids) != 0) | (np.diff(times) != 0), True)[: len(order)]
    order, ids = order[is_last], ids[is_last]
    newer = np.searchsorted(ids, ids, side="right") - np.arange(len(ids))  # 1 for the newest of a series
    return table.take(pa.array(order[newer <= window_rows]))
