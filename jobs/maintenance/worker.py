"""One bounded round of maintenance, in a process of its own: its task on standard input, its log on standard error.

In the run's own process it would hold Python's lock and the memory of the files that it reads.
"""

import os
import signal
import sys

SECONDS, BYTES = 60.0, 256 * 2**20  # of compaction in a round; the next one does the rest


def main() -> None:
    """Exit 0, 75 if another maintenance is at work, else 5."""
    os.nice(19)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's, which then ends this process
    import structlog

    from jobs.maintenance.compact import Budget
    from jobs.maintenance.maintain import Task, maintain
    from schemas.errors import StreamscoreError, TryAgainError
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    log = structlog.get_logger()
    task = Task.from_json(sys.stdin.buffer.read())
    try:
        report = maintain(task, budget=Budget(SECONDS, BYTES), fold=False)
    except TryAgainError as error:
        log.info("maintenance", outcome="another is at work", error=str(error))
        sys.exit(error.exit_code)
    except StreamscoreError as error:
        log.warning("maintenance", outcome="failed", error=str(error))
        sys.exit(error.exit_code)
    for done in report.tables:
        if done.compacted or done.expired or done.entries or done.unused or done.note:
            counts = {
                "compacted": done.compacted,
                "expired": done.expired,
                "log_files": done.entries,
                "unused": done.unused,
            }
            log.info("maintenance", table=done.table, files=done.after.files, seconds=round(done.seconds, 2), **counts)


if __name__ == "__main__":
    main()
