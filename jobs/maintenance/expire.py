"""Rows of the log of requests that are older than the settings want them: deleted, also beside younger ones."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError

from schemas.errors import TryAgainError
from streamscore.tables.delta_log import NO_HOOKS, DeltaLog

TIME = "requested_at"


def expire(of_table: DeltaLog, days: float, *, dry_run: bool) -> int:
    """Delete the rows of requests that came so many days ago; gives their number.

    What the writers know of the table, the newest number of each spool, stays; so they go on, and no request of theirs
    comes back.

    Raises:
        TryAgainError: somebody else took the same files away.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    oldest = f"min.{TIME}"
    actions = pa.table(of_table.handle().get_add_actions(flatten=True))
    if oldest not in actions.column_names or not pc.any(pc.less(actions[oldest], pa.scalar(before))).as_py():
        return 0
    if dry_run:
        times = of_table.dataset().to_table(columns=[TIME])[TIME]
        return int(pc.sum(pc.less(times, pa.scalar(before, times.type))).as_py() or 0)
    try:
        table = of_table.handle_to_write()
        done = table.delete(f"{TIME} < '{before.isoformat()}'", post_commithook_properties=NO_HOOKS)
    except CommitFailedError as error:
        msg = f"{of_table.uri}: others changed the table; old requests go at the next round"
        raise TryAgainError(msg) from error
    return int(done["num_deleted_rows"] or 0)
