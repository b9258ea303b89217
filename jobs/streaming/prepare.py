"""What is there before a query starts: the folders, the tables, the checkpoint."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.maintenance.maintain import Task
from jobs.maintenance.schedule import MaintenanceScheduler
from jobs.streaming.checkpoint import Checkpoint, open_checkpoint
from jobs.streaming.progress import Display, RunMetrics
from jobs.streaming.report import Reporter
from jobs.streaming.stop import Stop
from jobs.streaming.trigger import parse_trigger
from schemas.errors import SettingsError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import FORECASTS, PREDICTIONS, QUARANTINE
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.entries import HIDDEN
from streamscore.landing.listing import landed_files
from streamscore.landing.troubles import Troubles
from streamscore.spark.session import spark_commits_to_store
from streamscore.storage.object_store import is_object_uri
from streamscore.storage.places import as_uri
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.housekeeping import Housekeeping
from streamscore.tables.recover import assert_known_checkpoint
from streamscore.tables.tables import SIDE_TABLES, Tables


@dataclass(frozen=True, slots=True)
class StreamRun:
    """One run of a feed's stream: what it works on, and what shows it; made by `open_run`."""

    feed: Feed
    settings: Settings
    paths: StreamPaths
    tables: Tables
    archive: Archive
    metrics: RunMetrics
    display: Display
    stop: Stop

    @property
    def landing(self) -> str:
        """The landing folder as the URI that is in manifests."""
        return as_uri(self.paths.landing.uri)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose checkpoint is open and belongs to its tables.

    Attributes:
        recover: the checkpoint is new, and the tables say what is done.
        replay_until: the newest micro-batch that an earlier start planned, -1 if none.
        first: the number of the next micro-batch; None if that is a replay.
        undo: what is to be ended or closed when the run ends, newest first.
    """

    run: StreamRun
    checkpoint: Checkpoint
    housekeeping: Housekeeping
    report: Reporter
    recover: bool
    replay_until: int
    first: int | None
    undo: ExitStack


def open_run(feed: Feed, settings: Settings, *, show_progress: bool = False) -> StreamRun:
    """Make the folders, and begin to show the run.

    Raises:
        SettingsError: the settings would lose rows, or name no trigger, no folder, or a port that is taken.
        StorageError: a folder cannot be made, reached or written.
    """
    trigger = parse_trigger(settings.streaming.trigger)
    assert_safe(feed, settings)
    paths = StreamPaths.of(feed, settings)
    assert_apart(paths)
    paths.make()
    metrics = RunMetrics(feed)
    metrics.serve(settings.metrics)
    counted = show_progress and "availableNow" in trigger
    display = Display(sum(1 for _ in landed_files(paths.landing, endings=feed.csv.endings)) if counted else None)
    tables = Tables(paths.tables, feed, settings.tables, settings.storage)
    refusals, troubles = paths.checkpoint.open_journal(REFUSALS), Troubles(paths.checkpoint)
    archive = Archive(paths.landing, settings.streaming.clean, refusals, paths.results, troubles)
    return StreamRun(feed, settings, paths, tables, archive, metrics, display, Stop())


def prepare(run: StreamRun, undo: ExitStack, *, recover: bool = False) -> Prepared:
    """Open the checkpoint, and hold it against the tables.

    1. Open it, and keep other drivers out.  2. Refuse tables whose newest commits a power cut tore, or take these out
    with `--recover`; refuse a checkpoint that the tables do not know.  3. Forget what a power cut
    emptied, and what an earlier start planned and never scored; refuse one that lost files.  4. Note where it stands,
    before Spark goes on.

    Raises:
        TryAgainError: another process streams with this checkpoint.
        RecoveryError: checkpoint and tables do not belong together, or the checkpoint lost files.
        ConflictError: another driver committed the newest micro-batch.
    """
    undo.callback(run.display.close)
    # 1
    leased = run.settings.streaming.lease
    checkpoint = open_checkpoint(
        run.paths.checkpoint, run.feed, run.landing, recover=recover, leased=leased, lost=run.stop.lease_lost
    )
    undo.callback(checkpoint.release)
    # 2
    if not recover:
        run.tables.assert_whole()
    commits = run.tables.set_torn_aside() if recover else []
    last_commit = checkpoint.last_commit
    assert_known_checkpoint(
        run.tables, checkpoint.app_id, is_new=checkpoint.is_new, recover=recover, last_commit=last_commit
    )
    # 3
    torn = checkpoint.forget_torn(run.tables)
    checkpoint.discard_unscored_plan(run.tables)
    checkpoint.assert_whole(run.tables)
    # 4
    rounds = MaintenanceScheduler(Task.of(run.feed, run.settings))
    housekeeping = Housekeeping(run.tables, checkpoint.app_id, rounds)
    report = Reporter(run.feed.name, run.metrics, run.display, housekeeping, run.archive.troubles)
    if torn:
        report.event("torn", detail=f"{', '.join(torn)} were empty, as a power cut leaves them; they are made anew")
    if commits:
        report.event("torn", detail=f"{', '.join(commits)} were torn, as a power cut leaves them; they are set aside")
    last_offset = checkpoint.last_offset
    return Prepared(
        run=run,
        checkpoint=checkpoint,
        housekeeping=housekeeping,
        report=report,
        recover=recover,
        replay_until=last_offset,
        first=last_offset + 1 if last_commit == last_offset else None,
        undo=undo,
    )


def assert_safe(feed: Feed, settings: Settings) -> None:
    """Refuse what would lose rows.

    The history of series is the driver's. Spark's own commits to an object store are not put-if-absent.
    """
    if feed.kind == "series" and settings.streaming.mode == "executors":
        msg = (
            f"streaming.mode is executors and feed {feed.name} is of kind 'series', wanted auto or driver: each of its "
            f"forecasts needs what was observed before it; streamscore run {feed.name} --mode driver"
        )
        raise SettingsError(msg)
    if feed.routing and settings.model_uri:
        msg = (
            f"--model-uri {settings.model_uri}: the rows of feed {feed.name} are routed by '{feed.routing.column}', "
            f"wanted no model URI; take it out, or take 'routing' out of schemas/{feed.name}.yaml"
        )
        raise SettingsError(msg)
    if spark_commits_to_store(settings) and not settings.streaming.lease:
        msg = (
            "tables.writer is delta-spark on s3:// and streaming.lease is off, wanted the lease: the commits of two "
            "drivers would overwrite each other there; set streaming.lease to true, or tables.writer to delta-rs"
        )
        raise SettingsError(msg)


def assert_apart(paths: StreamPaths) -> None:
    """Refuse folders of which one would be moved, scored or deleted with another.

    `--recover` moves the checkpoint away with all that is in it. Maintenance deletes in a table's folder what the table
    does not list. The stream scores and cleans up CSV files in the landing folder, and the models in a checkpoint may
    have some.

    Raises:
        SettingsError: names the two.
    """
    landing, tables, checkpoint = paths.uris.items()
    of_tables = [("--tables", paths.table(name)) for name in (PREDICTIONS, FORECASTS, QUARANTINE, *SIDE_TABLES)]
    pairs = [(landing, checkpoint), (tables, checkpoint), (checkpoint, landing)]
    pairs += [(inner, of_table) for inner in (landing, checkpoint) for of_table in of_tables]
    for (flag, inner), (other, outer) in pairs:
        below = _below(inner, outer)
        is_hidden = any(name.startswith(HIDDEN) for name in below or ()) and outer != checkpoint[1]
        if below is not None and not is_hidden:
            msg = (
                f"{flag} {inner} is in {other} {outer}, wanted folders beside each other, because what is in the one "
                f"would be taken for its own; choose another folder for {flag}"
            )
            raise SettingsError(msg)


def _below(inner: str, outer: str) -> tuple[str, ...] | None:
    """The names that lead from one place to another in it, none if they are the same; None if it is not in it."""
    if not is_object_uri(inner):
        inner = os.path.realpath(inner)
    if not is_object_uri(outer):
        outer = os.path.realpath(outer)
    try:
        return PurePosixPath(inner).relative_to(outer).parts
    except ValueError:
        return None
