"""A run of the stream: everything set up, the query started, and a clean stop."""

import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from jobs.operations.look import landed_files
from jobs.streaming.checkpoint import Checkpoint, open_checkpoint
from jobs.streaming.failpoints import arm
from jobs.streaming.landing.archive import Archive
from jobs.streaming.landing.ledger import Ledger
from jobs.streaming.landing.manifest import Manifest
from jobs.streaming.progress import BatchDone, Display, RunMetrics
from jobs.streaming.query import MicroBatches
from jobs.streaming.scoring.follow import Follower
from jobs.streaming.session import ship_code, start_session
from jobs.streaming.trigger import parse_trigger
from jobs.streaming.writing.fold import Housekeeping
from jobs.streaming.writing.recover import adopt, assert_known_checkpoint, refused_files
from jobs.streaming.writing.tables import Tables
from jobs.streaming.writing.writers import writer_of
from schemas.errors import ConflictError, FeedError, SettingsError, StorageError
from schemas.feed import Feed
from schemas.registry import open_registry
from schemas.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

log = structlog.get_logger()

STOP_SECONDS = 10  # for Spark to write the commit of the last micro-batch


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a stream reads and writes; absolute, and there."""

    landing: Path
    tables: Path
    checkpoint: Path


class Run:
    """One run of a feed's stream."""

    def __init__(self, feed: Feed, settings: Settings, *, show_progress: bool) -> None:
        if feed.kind != "rows":
            raise FeedError(
                f"feed {feed.name} is of kind '{feed.kind}', wanted 'rows'; change schemas/{feed.name}.yaml"
            )
        self.feed, self.settings = feed, settings
        self.trigger = parse_trigger(settings.streaming.trigger)
        self.folders = make_folders(feed, settings)
        self.metrics = RunMetrics(feed)
        self.metrics.serve(settings.metrics)
        counted = show_progress and "availableNow" in self.trigger
        self.display = Display(sum(1 for _ in landed_files(self.folders.landing)) if counted else None)
        self.tables = Tables(self.folders.tables, feed, settings.tables)
        self.archive = Archive(self.folders.landing, settings.streaming.clean, self.folders.checkpoint)
        self.stop = threading.Event()

    def stream(self, spark: "SparkSession | None" = None, *, recover: bool = False) -> None:
        """Until it is stopped, or caught up; in a session of its own, which it ends, or in the given one.

        1. The checkpoint, and whether the tables know it.  2. The model, while the JVM starts.  3. The tables.
        4. The query.  5. A clean stop.
        """
        with ExitStack() as undo:
            undo.callback(self.display.close)
            # 1
            checkpoint = open_checkpoint(
                self.folders.checkpoint, self.feed, self.folders.landing.as_uri(), recover=recover
            )
            undo.callback(checkpoint.release)
            assert_known_checkpoint(
                self.tables,
                checkpoint.app_id,
                is_new=checkpoint.is_new,
                recover=recover,
                last_commit=checkpoint.last_commit,
            )
            self.keeping = Housekeeping(self.tables, checkpoint.app_id)
            # 2
            starting = undo.enter_context(ThreadPoolExecutor(1))
            source = starting.submit(self._source, spark, checkpoint)
            if spark is None:
                undo.callback(_stop_session, source)
            follower = self._follow(checkpoint)
            undo.callback(follower.stop)
            # 3
            if recover:
                seen = adopt(self.tables, checkpoint.app_id)
                self.archive.note_refused((self.folders.landing / name).as_uri() for name in refused_files(self.tables))
                Ledger(checkpoint.folder / "ledger.jsonl").append(Manifest(0, tuple(seen)))
            self.keeping.start()
            undo.callback(self.keeping.stop)
            # 4
            batches, query = self._start(source.result(), checkpoint, follower)
            log.info("stream started", feed=self.feed.name, landing=str(self.folders.landing), trigger=self.trigger)
            # 5
            self._wait(query, batches, checkpoint)
            log.info("stream stopped", feed=self.feed.name)

    def _follow(self, checkpoint: Checkpoint) -> Follower:
        uri = self.settings.model_uri or self.feed.model_uri
        follower = Follower(uri, self.feed, open_registry(self.settings), checkpoint.folder, self._tell)
        poll_seconds = self.settings.registry.poll_seconds
        model = follower.start(self.tables.prediction_type, checkpoint.last_offset, poll_seconds)
        self.tables.create(model.output)
        return follower

    def _tell(
        self, kind: str, name: str = "", version: str = "", detail: str = "", batch_id: int | None = None
    ) -> None:
        self.keeping.event(kind, name, version, detail, batch_id)
        self.metrics.event(kind)
        say = log.info if kind == "swapped" else log.warning
        say(kind, feed=self.feed.name, model_name=name, model_version=version, detail=detail)

    def _source(self, spark: "SparkSession | None", checkpoint: Checkpoint) -> "DataFrame":
        from jobs.streaming.landing.source import LandingSource

        spark = spark or start_session(self.settings, f"streamscore {self.feed.name}")
        ship_code(spark, checkpoint.folder)
        spark.dataSource.register(LandingSource)
        return spark.readStream.format("landing").options(**self._source_options(checkpoint)).load()

    def _start(
        self, source: "DataFrame", checkpoint: Checkpoint, follower: Follower
    ) -> "tuple[MicroBatches, StreamingQuery]":
        def report(done: BatchDone) -> None:
            self.metrics.batch(done)
            self.display.batch(done)
            self.keeping.committed()
            log.info("batch", feed=self.feed.name, **done.to_log())

        batches = MicroBatches(
            self.feed,
            self.settings.streaming,
            checkpoint=checkpoint.folder,
            app_id=checkpoint.app_id,
            landing=self.folders.landing.as_uri(),
            tables=self.tables,
            writer=writer_of(self.tables, source.sparkSession),
            follower=follower,
            archive=self.archive,
            report=report,
        )
        writer = source.writeStream.foreachBatch(batches).option("checkpointLocation", str(checkpoint.folder))
        return batches, writer.queryName(self.feed.name).trigger(**self.trigger).start()  # type: ignore[arg-type]

    def _source_options(self, checkpoint: Checkpoint) -> dict[str, Any]:
        streaming = self.settings.streaming
        options = {
            "path": str(self.folders.landing),
            "checkpoint": str(checkpoint.folder),
            "maxFiles": streaming.max_files,
            "maxBytes": streaming.max_bytes,
            "clean": streaming.clean,
            "fullLookSeconds": streaming.full_look_seconds,
        }
        if self.settings.testing.fail_points and (spec := os.environ.get("STREAMSCORE_FAIL_AT")):
            arm(spec, os.getpid())
            options |= {"failAt": spec, "driverPid": os.getpid()}
        return options

    def _wait(self, query: "StreamingQuery", batches: MicroBatches, checkpoint: Checkpoint) -> None:
        """Until the query ends, or we are asked to stop: then after the running micro-batch.

        Raises:
            StreamscoreError: the query ended of it.
        """
        while query.isActive and not self.stop.wait(0.2):
            pass
        if query.isActive:
            batches.finish()
            until = time.monotonic() + STOP_SECONDS
            while batches.last and checkpoint.last_commit < batches.last[0] and time.monotonic() < until:
                time.sleep(0.01)
            query.stop()
        elif error := query.exception():
            if isinstance(batches.error, ConflictError):
                self._tell("conflict", detail=str(batches.error))
            raise batches.error or StorageError(
                f"Spark ended the query: {str(error).strip().splitlines()[0]}; the whole story: --debug"
            ) from error
        if batches.last:
            self.archive.sweep(batches.last[1].files)


def _stop_session(source: "Future[DataFrame]") -> None:
    if not source.exception():
        source.result().sparkSession.stop()


def run(feed: Feed, settings: Settings, *, recover: bool = False, show_progress: bool = False) -> None:
    """Stream a feed's landing folder into its tables until it is stopped, or caught up if the trigger says so.

    SIGTERM and Ctrl-C finish the running micro-batch and return.

    Raises:
        StreamscoreError: the stream cannot start, or ended of it.
    """
    if pid_file := os.environ.get("STREAMSCORE_PID_FILE"):  # spark-submit.sh sends its signals there
        Path(pid_file).write_text(str(os.getpid()))
    stream = Run(feed, settings, show_progress=show_progress)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stream.stop.set())
    stream.stream(recover=recover)


def make_folders(feed: Feed, settings: Settings) -> Folders:
    """The folders of the settings, made if they are missing.

    Raises:
        StorageError: one cannot be made or written.
    """
    made = []
    for name, given in (
        ("landing", settings.landing),
        ("tables", settings.tables.path),
        ("checkpoint", settings.checkpoint),
    ):
        if "://" in given:
            raise SettingsError(f"--{name} {given}: this version reads and writes local folders only, wanted a path")
        path = Path(given.format(feed=feed.name)).absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"--{name} {path}: {error.strerror}, wanted a folder; choose another") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise StorageError(f"--{name} {path} cannot be written by this user, wanted a folder that can; chown it")
        made.append(path)
    return Folders(*made)
