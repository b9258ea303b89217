"""The rows that a commit added, and that were not in the table before it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa


def rows_that_came(added: Sequence[str], removed: Sequence[str], read: Callable[[str], pa.Table]) -> pa.Table:
    """The rows of the added files that the removed ones did not hold, in their order; equal ones are counted.

    A writer that deletes or changes one row puts a new file with all others in the place of the old one. A row that
    was changed is a new one.

    Args:
        read: a file's rows by its name; of all with the same columns.
    """
    before = Counter(key for name in removed for key in _keys(read(name)))
    found = []
    for name in added:
        rows = read(name)
        found.append(rows.filter(pa.array([_is_new(key, before) for key in _keys(rows)], pa.bool_())))
    return pa.concat_tables(found)


def _is_new(key: str, before: Counter[str]) -> bool:
    if before[key] > 0:
        before[key] -= 1
        return False
    return True


def _keys(rows: pa.Table) -> Iterator[str]:
    """What tells rows apart; NaN is equal to NaN."""
    return map(repr, zip(*(column.to_pylist() for column in rows.columns), strict=True))
