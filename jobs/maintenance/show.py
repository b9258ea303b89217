"""What a maintenance came to, as a table to read."""

from rich.console import Console
from rich.table import Table

from jobs.maintenance.maintain import Maintained, Report


def show_report(report: Report, console: Console, *, dry_run: bool) -> None:
    """Print a line a table: before → after; of a dry run, what would be done."""
    table = Table("table", "files", "MB", "files stored", "log entries", "seconds")
    if dry_run:
        table = Table("table", "files", "MB", "to be compacted", "log files to go", "unused files to go", "MB")
    for done in report.tables:
        table.add_row(*(_planned(done) if dry_run else _done(done)))
    console.print(table)
    for done in report.tables:
        if done.expired:
            would = "would be deleted" if dry_run else "deleted"
            console.print(f"{done.table}: {done.expired:,} old rows {would}", markup=False)
        if done.note:
            console.print(f"{done.table}: {done.note}", markup=False, soft_wrap=True)
    if report.models:
        would = "would be deleted" if dry_run else "deleted"
        console.print(f"{report.models} model versions {would} from scratch", markup=False)


def _done(done: Maintained) -> tuple[str, ...]:
    old, new = done.before, done.after
    return (
        done.table,
        _step(old.files, new.files),
        f"{old.bytes / 1e6:,.1f} → {new.bytes / 1e6:,.1f}" if old.bytes != new.bytes else f"{old.bytes / 1e6:,.1f}",
        _step(old.stored, new.stored),
        _step(old.entries, new.entries),
        f"{done.seconds:.1f}",
    )


def _planned(done: Maintained) -> tuple[str, ...]:
    files, size = f"{done.before.files:,}", f"{done.before.bytes / 1e6:,.1f}"
    unused = f"{done.unused:,}", f"{done.unused_bytes / 1e6:,.1f}"
    return done.table, files, size, f"{done.compacted:,}", f"{done.entries:,}", *unused


def _step(old: int, new: int) -> str:
    return f"{old:,} → {new:,}" if old != new else f"{old:,}"
