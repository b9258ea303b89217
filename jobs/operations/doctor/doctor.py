"""`streamscore doctor`: what a stream needs, checked one by one; for each failure one command that mends it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from jobs.operations.doctor.machine import check_machine
from jobs.operations.doctor.model import check_model
from jobs.operations.doctor.result import Check
from jobs.operations.doctor.service import check_service
from jobs.operations.doctor.storage import check_storage
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.spark.before_start import this_machine
from streamscore.storage.stream_paths import StreamPaths

__all__ = ["Check", "examine", "show"]

STORE_SECONDS = 12.0  # for the registry, where the object store may keep it waiting: all is told in 15


def examine(feed: Feed, settings: Settings) -> list[Check]:
    """What a stream of the feed needs, in the order in which to mend it, then the online service; starts no Spark."""
    paths = StreamPaths.of(feed, settings)
    # at the same time: a server that says nothing is waited for, and artifacts may be in the store as well
    with ThreadPoolExecutor(1) as looking:
        storage = looking.submit(lambda: list(check_storage(feed, paths)))
        machine = check_machine(this_machine(), settings.spark)
        model = check_model(feed, settings, STORE_SECONDS) if paths.is_in_store else check_model(feed, settings)
    return [*machine, *model, *storage.result(), *check_service(settings)]


def show(checks: Sequence[Check], console: Console) -> int:
    """Print a line a check, and under each failure its fix; the exit code of the worst failure, 0 if there is none."""
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        state, style = ("ok", "green") if check.ok else ("FAIL", "bold red") if check.exit_code else ("warn", "yellow")
        console.print(f"{state:<4}", style=style, end="  ")
        # whole lines, however narrow the terminal: a fix is to be copied
        console.print(f"{check.name:<{width}}  {check.found}", markup=False, emoji=False, soft_wrap=True)
        if not check.ok:
            console.print(f"{'fix: ':>{width + 8}}{check.fix}", markup=False, emoji=False, soft_wrap=True)
    failed = [check for check in checks if not check.ok]
    if failed:
        console.print(f"{len(failed)} of {len(checks)} checks need something done")
    return max((check.exit_code for check in failed), default=0)
