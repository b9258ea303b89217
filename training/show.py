"""What `streamscore train` prints."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.errors import GateError
from training.fitting.tune import Progress as Tell
from training.pipeline import TrainResult

BASELINE = "baseline_"


@contextmanager
def tuning_progress(out: Console) -> Iterator[Tell]:
    """A bar of the trials, on a terminal and while there is something to tune."""
    columns = (TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def tell(done: int, total: int, best: float | None) -> None:
            said = "" if best is None else f"best {best:.4g}"
            bar.update(task, completed=done, total=total, description=said, visible=True)

        yield tell


def show_training(feed: str, result: TrainResult, out: Console) -> None:
    """The metrics, where they come from, and what became of the version.

    Raises:
        GateError: it is no candidate; names the first reason and the report.
    """
    if not result.version:
        out.print(f"no feature of {result.origin.data_source} drifted from the Production model's data: nothing to do")
        return
    table = Table("", "held-out", "baseline", title=f"{result.name} v{result.version}", title_justify="left")
    for name, value in result.metrics.items():
        if not name.startswith(BASELINE):
            baseline = result.metrics.get(BASELINE + name)
            table.add_row(name, f"{value:.4f}", "" if baseline is None else f"{baseline:.4f}")
    out.print(table)
    origin = result.origin
    out.print(f"{origin.data_rows:,} rows of {origin.data_source}, sha256 {origin.data_digest[:12]}…", soft_wrap=True)
    out.print(f"run {result.run_id}: report.html and gate.json among its artifacts", soft_wrap=True)
    if not result.is_new:
        out.print(f"v{result.version} was made of the same data, feed, settings and code: nothing new is registered")
    if result.reasons:
        more = f" (and {len(result.reasons) - 1} more)" if len(result.reasons) > 1 else ""
        msg = (
            f"{result.name} v{result.version} is rejected: {result.reasons[0]}{more}; Production is as it was; "
            f"next: look at report.html of run {result.run_id}"
        )
        raise GateError(msg)
    if result.promotion:
        out.print(f"in Production: v{result.version}; next: streamscore run {feed}")
    else:
        out.print(f"candidate; next: streamscore promote {shlex.quote(result.name)} {result.version}")
