"""`streamscore maintain`: small files compacted, logs checkpointed and trimmed, unused files deleted."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Self

import structlog
from deltalake.exceptions import DeltaError

from jobs.maintenance.clean import clean_log, clean_models, vacuum
from jobs.maintenance.compact import Budget, compact, files_of, not_ours_to_compact
from jobs.maintenance.expire import expire
from jobs.maintenance.lock import alone, stream_stopped
from jobs.maintenance.plan_compaction import plan
from schemas.errors import StorageError, TryAgainError
from schemas.feed import Feed, load_feed
from schemas.settings import Settings
from schemas.settings import Tables as TablesSettings
from schemas.tables import (
    ALERTS,
    BATCHES,
    DRIFT,
    DRIFT_PROFILES,
    EVENTS,
    QUARANTINE,
    REQUESTS,
    SERVICE,
    SHADOWS,
    service_feed,
)
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.commit import FOLD
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.log_entry import ENTRY, unusable
from streamscore.tables.tables import Tables

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be maintained; as JSON it goes to another process.

    Attributes:
        settings: of the tables.
        rows: the tables of rows too; otherwise only those that Spark never writes.
        clean: old entries, files and models too.
        keep_days: rows of the log of requests; None: for ever.
    """

    feed: Feed
    paths: StreamPaths
    settings: TablesSettings
    keep_days: float | None = None
    rows: bool = True
    clean: bool = True

    @classmethod
    def of(cls, feed: Feed, settings: Settings) -> Self:
        """By the settings."""
        return cls(feed, StreamPaths.of(feed, settings), settings.tables, settings.request_log.keep_days)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What `to_json` made, in another process."""
        body = json.loads(text)
        feed, settings = Feed.model_validate(body["feed"]), TablesSettings.model_validate(body["settings"])
        more = {name: body[name] for name in ("keep_days", "rows", "clean")}
        return cls(feed, StreamPaths.from_json(body["paths"]), settings, **more)

    def to_json(self) -> str:
        """As text."""
        body = {"feed": self.feed, "settings": self.settings}
        models = {name: model.model_dump(mode="json", exclude_unset=True) for name, model in body.items()}
        more = {"keep_days": self.keep_days, "rows": self.rows, "clean": self.clean}
        return json.dumps(models | {"paths": self.paths.to_json()} | more)


def feed_or_service(name: str) -> Feed:
    """A feed, or what stands for one where the requests are that are of none.

    Raises:
        FeedError: there is no such feed, or its file is wrong.
    """
    return service_feed() if name == SERVICE else load_feed(name)


@dataclass(frozen=True, slots=True)
class Size:
    """A table at a moment.

    Attributes:
        files, bytes: of the table's newest version.
        stored: files in its folder, those of older versions too.
        entries: commits that its log still has.
    """

    files: int
    bytes: int
    stored: int
    entries: int


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to a table, or in a dry run would be.

    Attributes:
        compacted: files that became fewer.
        expired: rows of the log of requests that were deleted.
        entries: files of the log that were deleted.
        unused, unused_bytes: files deleted that no version younger than the setting has.
        note: why something was left undone.
    """

    table: str
    before: Size
    after: Size
    compacted: int = 0
    expired: int = 0
    entries: int = 0
    unused: int = 0
    unused_bytes: int = 0
    seconds: float = 0.0
    note: str = ""


@dataclass
class Report:
    """Of all tables, and the model versions deleted from scratch."""

    tables: list[Maintained] = field(default_factory=list)
    models: int = 0


def maintain(task: Task, *, dry_run: bool = False, budget: Budget | None = None, fold: bool = True) -> Report:
    """Maintain a feed's tables, beside its stream or without; the stream neither waits for it nor fails by it.

    For each table: 0. old requests go,  1. small files become few,  2. a checkpoint of the log, if it has grown,
    3. entries go that are old and told elsewhere,  4. files go that are in the table no more.  Then downloaded models
    that score no more.
    Killed anywhere, it leaves whole tables; the next one does the rest.

    Args:
        fold: into `batches` what is not in it yet, so that the log may be trimmed; inside a run that is done anyway.

    Raises:
        StorageError: there are no tables, or they cannot be read or written.
        TryAgainError: another maintenance is at work, or the stream is, and Spark writes its commits.
    """
    paths = task.paths
    paths.assert_reachable("--tables")
    tables = Tables(paths.tables, task.feed, task.settings, paths.storage)
    names = [name for name in _names(tables, task) if tables.exists(name)]
    if not names:
        made_by = f"the stream makes them: streamscore run {task.feed.name}"
        if task.feed.name == SERVICE:
            made_by = "the service makes them: streamscore serve"
        msg = f"no Delta tables in {paths.tables}; {made_by}"
        raise StorageError(msg)
    report, budget = Report(), budget or Budget()
    with ExitStack() as held:
        if not dry_run:
            if task.rows and task.settings.writer == "delta-spark":
                held.enter_context(stream_stopped(paths, task.feed.name))
            lost = held.enter_context(alone(paths, task.feed.name))
            if fold and task.clean and tables.exists(tables.scored):
                append_batch_rows(tables)
        for name in names:
            if not dry_run and lost.is_set():
                msg = f"another maintenance of {paths.tables} took over; nothing is to be done"
                raise TryAgainError(msg)
            try:
                report.tables.append(_maintain_table(tables, name, task, dry_run, budget))
            except (DeltaError, OSError) as error:
                raise unusable(tables.uri(name), "maintain", error) from error
        if task.clean:
            hours = task.settings.keep_files_hours
            report.models = clean_models(paths.checkpoint, paths.scratch, hours, dry_run=dry_run)
    return report


def _names(tables: Tables, task: Task) -> Iterator[str]:
    if task.rows:
        yield from (tables.scored, QUARANTINE)
    yield from (BATCHES, EVENTS, REQUESTS, SHADOWS, DRIFT_PROFILES, DRIFT, ALERTS)


def _maintain_table(tables: Tables, name: str, task: Task, dry_run: bool, budget: Budget) -> Maintained:
    begun, settings = time.monotonic(), task.settings
    of_table = tables.log(name)
    of_table.refresh()
    before, note = _size(of_table, task.clean), ""
    handle = of_table.handle()
    if why := not_ours_to_compact(of_table, handle):
        return Maintained(name, before, before, note=f"left alone: {why}")
    expired = 0
    try:  # 0
        if name == REQUESTS and task.clean and task.keep_days is not None:
            expired = expire(of_table, task.keep_days, dry_run=dry_run)
    except TryAgainError as error:
        note = str(error)
    if dry_run:  # 1
        compacted = sum(len(group) for group in plan(files_of(handle), settings.target_bytes))
    else:
        try:
            compacted = compact(of_table, settings.target_bytes, budget)
        except TryAgainError as error:  # the rest does not depend on it
            compacted, note = 0, str(error)
        _checkpoint(of_table, settings.checkpoint_every, anyway=compacted > 0)  # 2
    done = Maintained(name, before, before, compacted, expired, note=note)
    if task.clean:
        entries = clean_log(of_table, _folded(tables, name), settings.keep_log_hours, dry_run=dry_run)  # 3
        unused, unused_bytes = vacuum(of_table, settings.keep_files_hours, dry_run=dry_run)  # 4
        done = replace(done, entries=entries, unused=unused, unused_bytes=unused_bytes)
    after = before if dry_run else _size(of_table, task.clean)
    return replace(done, after=after, seconds=time.monotonic() - begun)


def _folded(tables: Tables, name: str) -> int | None:
    """Up to which entry the commits of a table are told in `batches`; None for tables of which nothing is told."""
    if name != tables.scored:
        return None
    if not tables.exists(BATCHES):
        return -1
    tables.batches.refresh()
    newest = tables.batches.transaction(FOLD)
    return -1 if newest is None else newest


def _checkpoint(of_table: DeltaLog, every: int, *, anyway: bool) -> None:
    """Write a checkpoint of a table's log, so that readers need not replay what came since the last one."""
    of_table.refresh()
    if of_table.version - max(of_table.last_checkpoint(), 0) >= (1 if anyway else every):
        of_table.write_checkpoint()


def _size(of_table: DeltaLog, listed: bool) -> Size:
    files = files_of(of_table.handle())
    if not listed:  # a listing of very many files, for a number
        return Size(len(files), sum(file.size for file in files), 0, 0)
    stored = sum(file.name.endswith(".parquet") for file in of_table.folder.listed())
    entries = sum(bool(ENTRY.fullmatch(file.name)) for file in of_table.folder.at("_delta_log").listed())
    return Size(len(files), sum(file.size for file in files), stored, entries)
