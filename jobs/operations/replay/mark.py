"""Marking quarantined rows as landed again."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jobs.operations.stream_state import open_table, quoted, select
from schemas.errors import TryAgainError
from schemas.tables import QUARANTINE
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.understood import assert_understood

ATTEMPTS = 10
BATCHES_AT_ONCE = 1000  # in one commit: bounds what is held in memory, and the predicate


class Key(NamedTuple):
    """A row of quarantine; `source_line` is null where the whole file is refused."""

    source_file: str
    source_line: int | None
    app_id: str
    batch_id: int


Marks = dict[str, list[Key]]  # file → the rows in it


def mark(paths: StreamPaths, marks: Mapping[str, Sequence[Key]]) -> None:
    """Set `replayed_as` of these rows to the name of the file they were landed in.

    A row that is marked already keeps its mark. Their micro-batches are done, so that nobody else writes these rows.

    Raises:
        TryAgainError: others always committed first.
    """
    files = {key: name for name, keys in marks.items() for key in keys}
    batches: dict[str, set[int]] = {}
    for key in files:
        batches.setdefault(key.app_id, set()).add(key.batch_id)
    for app_id, ids in batches.items():
        ordered = sorted(ids)
        for i in range(0, len(ordered), BATCHES_AT_ONCE):
            some = ordered[i : i + BATCHES_AT_ONCE]
            # the range says to `deltalake`, a long list does not, that what the stream appends meanwhile is no conflict
            bounds = f"batch_id BETWEEN {some[0]} AND {some[-1]} AND batch_id IN ({', '.join(map(str, some))})"
            _replace(paths, f"app_id = {quoted(app_id)} AND {bounds}", files)


def _replace(paths: StreamPaths, predicate: str, files: Mapping[Key, str]) -> None:
    """Put the rows of some micro-batches anew, with their marks, in one commit.

    Not by UPDATE or MERGE of `deltalake` 1.6.6: the strings they write are string views, which no filter of a pyarrow
    dataset takes, so that other readers of quarantine would break.
    """
    import pyarrow as pa
    from deltalake import PostCommitHookProperties, write_deltalake
    from deltalake.exceptions import CommitFailedError

    hooks = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
    for attempt in range(ATTEMPTS):
        table = open_table(paths, QUARANTINE)
        if table is None:
            return
        assert_understood(paths.table(QUARANTINE), table, replaces=True)
        rows = select(table, f"SELECT * FROM t WHERE {predicate}").cast(pa.schema(table.schema().to_arrow()))
        keys = map(Key, *(rows[name].to_pylist() for name in Key._fields))
        marked = [old or files.get(key) for old, key in zip(rows["replayed_as"].to_pylist(), keys, strict=True)]
        place = rows.schema.get_field_index("replayed_as")
        rows = rows.set_column(place, rows.schema.field(place), pa.array(marked, pa.string()))
        try:  # from the snapshot that was read: fails if another commit since then changed these rows
            write_deltalake(table, rows, mode="overwrite", predicate=predicate, post_commithook_properties=hooks)
            return
        except CommitFailedError:
            time.sleep(0.05 * attempt)
    msg = f"others write to {paths.table(QUARANTINE)} all the time; run the same again, it lands nothing twice"
    raise TryAgainError(msg)
