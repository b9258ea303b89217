"""A run of the stream: everything set up, the query started, and a clean stop."""

import gc
import os
import signal
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from py4j.protocol import Py4JError, Py4JJavaError

from jobs.maintenance.maintain import Task
from jobs.maintenance.schedule import MaintenanceScheduler
from jobs.streaming.checkpoint import Checkpoint, open_checkpoint
from jobs.streaming.early import EarlyScoring
from jobs.streaming.micro_batch import MicroBatchProcessor
from jobs.streaming.progress import BatchDone, Display, RunMetrics
from jobs.streaming.trigger import parse_trigger
from schemas.errors import (
    ConflictError,
    RecoveryError,
    SettingsError,
    StorageError,
    StreamscoreError,
    raised_in_worker,
)
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.failpoints import arm
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.ledger import Ledger
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import BatchManifest
from streamscore.models.load import import_first
from streamscore.models.watch import ModelWatcher
from streamscore.registry.registry import open_registry
from streamscore.spark.session import in_background, ship_code, spark_commits_to_store, start_session
from streamscore.storage.places import as_uri, hadoop_uri
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.commit import Writer
from streamscore.tables.housekeeping import Housekeeping
from streamscore.tables.recover import assert_known_checkpoint, processed_files, refused_files
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

POLL_SECONDS = 0.02
NO_JVM = ConnectionError, Py4JError  # what is raised where its JVM is gone
STARTS = 3  # of a query whose source comes up too late
LATE = "Python worker failed to connect back"
STOP_SECONDS = 10  # for Spark to write the commit of the last micro-batch


class StreamRun:
    """One run of a feed's stream."""

    def __init__(self, feed: Feed, settings: Settings, *, show_progress: bool) -> None:
        self.feed, self.settings = feed, settings
        self.trigger = parse_trigger(settings.streaming.trigger)
        _assert_safe(feed, settings)
        self.folders = StreamPaths.of(feed, settings)
        self.folders.make()
        self.metrics = RunMetrics(feed)
        self.metrics.serve(settings.metrics)
        counted = show_progress and "availableNow" in self.trigger
        self.display = Display(sum(1 for _ in landed_files(self.folders.landing)) if counted else None)
        self.tables = Tables(self.folders.tables, feed, settings.tables, settings.storage)
        refusals = self.folders.checkpoint.open_journal(REFUSALS)
        self.archive = Archive(self.folders.landing, settings.streaming.clean, refusals)
        self.stop = threading.Event()
        self.lost = ""  # who took the checkpoint away

    def stream(self, spark: "SparkSession | Future[SparkSession]", *, recover: bool = False) -> None:
        """Until it is stopped, or caught up; in a session that is started for it, which it ends, or in a running one.

        1. The checkpoint, and whether the tables know it.  2. The query, whose first micro-batch waits for
        3. the model  4. and the tables.  5. A clean stop.
        """
        with ExitStack() as undo:
            undo.callback(self.display.close)
            # 1
            checkpoint = open_checkpoint(
                self.folders.checkpoint,
                self.feed,
                as_uri(self.folders.landing.uri),
                recover=recover,
                leased=self.settings.streaming.lease,
                lost=self._give_up,
            )
            undo.callback(checkpoint.release)
            last_commit = checkpoint.last_commit
            assert_known_checkpoint(
                self.tables,
                checkpoint.app_id,
                is_new=checkpoint.is_new,
                recover=recover,
                last_commit=last_commit,
            )
            checkpoint.discard_unscored_plan(self.tables)
            checkpoint.assert_whole(self.tables)
            self.keeping = Housekeeping(
                self.tables, checkpoint.app_id, MaintenanceScheduler(Task.of(self.feed, self.settings))
            )
            # 2
            replay_until = checkpoint.last_offset  # before Spark writes another
            scoring_ahead = EarlyScoring()
            undo.callback(scoring_ahead.close)
            ready: Future[MicroBatchProcessor] = Future()

            def start() -> "Future[StreamingQuery]":
                query = in_background(
                    lambda: self._start(self._source(spark, scoring_ahead.address), checkpoint, ready)
                )
                undo.callback(_abandon, query, ready)
                return query

            if isinstance(spark, Future):
                undo.callback(_stop_session, spark)
            query = None
            if self.settings.streaming.lease and not recover:  # else the source may not look yet
                checkpoint.note_start(replay_until)
                query = start()
            # 3
            follower = self._follow(checkpoint, replay_until)
            undo.callback(follower.stop)
            # 4
            if recover:
                seen = processed_files(self.tables, checkpoint.app_id)
                landing = as_uri(self.folders.landing.uri)
                self.archive.note_refused(f"{landing}/{quote(name)}" for name in refused_files(self.tables))
                Ledger(checkpoint.folder.open_journal(LEDGER)).append(BatchManifest(0, tuple(seen)))
            self.keeping.start()
            undo.callback(self.keeping.stop)
            query = query or start()
            while not query.done() and not self.stop.wait(POLL_SECONDS):  # a JVM that hangs is no reason not to stop
                pass
            # 5
            try:
                if not self.stop.is_set():
                    running, writer = query.result(), writer_of(self.tables, _session(spark))
                    checkpoint.note_ready()
                    gc.freeze()  # what is loaded by now stays: no look at it in the middle of a micro-batch
                    gc.enable()
                    first = replay_until + 1 if last_commit == replay_until else None
                    batches = self._micro_batches(checkpoint, writer, follower, scoring_ahead, first)
                    ready.set_result(batches)
                    log.info(
                        "stream started", feed=self.feed.name, landing=self.folders.landing.uri, trigger=self.trigger
                    )
                    self._wait(running, batches, checkpoint)
            except NO_JVM as error:
                if not self.stop.is_set():  # a signal to the whole group of processes, as systemd sends it, ends it too
                    raise _ended(error) from error
            self._assert_held(checkpoint)
            log.info("stream stopped", feed=self.feed.name)

    def _give_up(self, holder: str) -> None:
        self.lost = holder
        self.stop.set()

    def _follow(self, checkpoint: Checkpoint, replay_until: int) -> ModelWatcher:
        if self.feed.kind == "rows":
            import_first()
        uri = self.settings.model_uri or self.feed.model_uri
        registry, scratch = open_registry(self.settings), self.folders.scratch
        follower = ModelWatcher(uri, self.feed, registry, checkpoint.folder, scratch, self._tell)
        of = self.settings.registry
        model = follower.start(self.tables.prediction_type, replay_until, of.poll_seconds, of.start_without)
        self.tables.create(model.output)
        return follower

    def _tell(
        self, kind: str, name: str = "", version: str = "", detail: str = "", batch_id: int | None = None
    ) -> None:
        self.keeping.event(kind, name, version, detail, batch_id)
        self.metrics.event(kind)
        say = log.info if kind in ("swapped", "registry_up") else log.warning
        say(kind, feed=self.feed.name, model_name=name, model_version=version, detail=detail)

    def _source(self, given: "SparkSession | Future[SparkSession]", address: str) -> "DataFrame":
        from streamscore.landing.source import LandingSource

        spark = _session(given)
        ship_code(spark, self.folders.scratch)
        spark.dataSource.register(LandingSource)
        return spark.readStream.format("landing").options(**self._source_options(), ahead=address).load()

    def _start(
        self, source: "DataFrame", checkpoint: Checkpoint, ready: "Future[MicroBatchProcessor]"
    ) -> "StreamingQuery":
        """The query, begun while the model loads: its first micro-batch is planned by then, and waits.

        Spark gives the source's process 10 s to come up; on a machine too busy for that it is begun again.
        """
        location = hadoop_uri(checkpoint.folder.uri)
        writer = source.writeStream.foreachBatch(lambda frame, batch_id: ready.result()(frame, batch_id))
        writer = writer.option("checkpointLocation", location).queryName(self.feed.name)
        for left in reversed(range(STARTS)):
            try:
                query = writer.trigger(**self.trigger).start()  # type: ignore[arg-type]
            except Exception as error:  # whatever Java throws
                raise _ended(error) from error
            while query.isActive and query.status["message"].startswith("Initializing"):
                time.sleep(POLL_SECONDS)
            if LATE not in str(query.exception()) or not left:
                break
        return query

    def _micro_batches(
        self,
        checkpoint: Checkpoint,
        writer: Writer,
        follower: ModelWatcher,
        scoring_ahead: EarlyScoring,
        first: int | None,
    ) -> MicroBatchProcessor:
        def report(done: BatchDone) -> None:
            self.metrics.batch(done)
            self.display.batch(done)
            self.keeping.committed()
            log.info("batch", feed=self.feed.name, **done.to_log())

        return MicroBatchProcessor(
            self.feed,
            self.settings.streaming,
            checkpoint=checkpoint,
            landing=as_uri(self.folders.landing.uri),
            tables=self.tables,
            writer=writer,
            follower=follower,
            ahead=scoring_ahead,
            archive=self.archive,
            report=report,
            first=first,
        )

    def _source_options(self) -> dict[str, Any]:
        streaming = self.settings.streaming
        options = {
            "paths": self.folders.to_json(),
            "maxFiles": streaming.max_files,
            "maxBytes": streaming.max_bytes,
            "clean": streaming.clean,
            "fullLookSeconds": streaming.full_look_seconds,
            "listSeconds": streaming.list_seconds,
            "retrySeconds": self.settings.storage.retry_seconds,
        }
        if self.settings.testing.fail_points and (spec := os.environ.get("STREAMSCORE_FAIL_AT")):
            arm(spec, os.getpid())
            options |= {"failAt": spec, "driverPid": os.getpid()}
        return options

    def _wait(self, query: "StreamingQuery", batches: MicroBatchProcessor, checkpoint: Checkpoint) -> None:
        """Until the query ends, or we are asked to stop: then after the running micro-batch.

        Raises:
            StreamscoreError: the query ended of it.
        """
        try:
            while query.isActive and not self.stop.wait(0.2):
                pass
        finally:
            batches.finish()
        until = time.monotonic() + STOP_SECONDS
        while query.isActive and batches.last and checkpoint.last_commit < batches.last[0] and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        query.stop()
        self._assert_held(checkpoint)
        if (error := query.exception()) and not batches.turned_away:
            if batches.error is None and self.stop.is_set():  # of processes that got the signal too
                log.warning("query ended", feed=self.feed.name, detail=str(_ended(error)))
                return
            if isinstance(batches.error, ConflictError):
                self._tell("conflict", detail=str(batches.error))
            raise batches.error or _ended(error) from error
        if batches.last:
            self.archive.sweep(batches.last[1].files)

    def _assert_held(self, checkpoint: Checkpoint) -> None:
        if self.lost:
            raise ConflictError(
                f"checkpoint {checkpoint.folder.uri} was taken over by {self.lost} while the object store did not "
                f"answer this process; stop one of them"
            )


def _session(given: "SparkSession | Future[SparkSession]") -> "SparkSession":
    return given.result() if isinstance(given, Future) else given


def _abandon(query: "Future[StreamingQuery]", ready: "Future[MicroBatchProcessor]") -> None:
    """Stop a query, as soon as it is begun, whose micro-batches did not get ready."""

    def stop(begun: "Future[StreamingQuery]") -> None:
        if not begun.exception():
            with suppress(*NO_JVM):
                begun.result().stop()

    if ready.cancel():
        query.add_done_callback(stop)


def _stop_session(session: "Future[SparkSession]") -> None:
    if session.done() and not session.exception():  # else it ends with the process
        with suppress(*NO_JVM):
            session.result().stop()


def run(
    feed: Feed,
    settings: Settings,
    session: "Future[SparkSession] | None",
    *,
    recover: bool = False,
    show_progress: bool = False,
) -> None:
    """Stream a feed's landing folder into its tables until it is stopped, or caught up if the trigger says so.

    SIGTERM and Ctrl-C finish the running micro-batch and return; the session is ended with it.

    Args:
        session: that was begun already; None: to be begun once the folders are known to be there.

    Raises:
        StreamscoreError: the stream cannot start, or ended of it.
    """
    if pid_file := os.environ.get("STREAMSCORE_PID_FILE"):  # spark-submit.sh sends its signals there
        Path(pid_file).write_text(str(os.getpid()))
    stream = StreamRun(feed, settings, show_progress=show_progress)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stream.stop.set())
    session = session or in_background(lambda: start_session(settings, f"streamscore {feed.name}"))
    stream.stream(session, recover=recover)


def _assert_safe(feed: Feed, settings: Settings) -> None:
    """Refuse what would lose rows.

    The history of series is the driver's. Spark's own commits to an object store are not put-if-absent.
    """
    if feed.kind == "series" and settings.streaming.mode == "executors":
        raise SettingsError(
            f"streaming.mode is executors and feed {feed.name} is of kind 'series', wanted auto or driver: each of its "
            f"forecasts needs what was observed before it; streamscore run {feed.name} --mode driver"
        )
    if spark_commits_to_store(settings) and not settings.streaming.lease:
        raise SettingsError(
            "tables.writer is delta-spark on s3:// and streaming.lease is off, wanted the lease: the commits of two "
            "drivers would overwrite each other there; set streaming.lease to true, or tables.writer to delta-rs"
        )


def _ended(error: Exception) -> StreamscoreError:
    """What ended the query, in one line: our own error if the source raised one, else Spark's."""
    if isinstance(error, NO_JVM) and not isinstance(error, Py4JJavaError):
        return StorageError("Spark's JVM has ended, as when it is killed; nothing is lost, start again")
    said = str(error).strip()
    if ours := raised_in_worker(said, RecoveryError, ConflictError, StorageError):
        return ours
    if "concurrently using" in said or "CONCURRENT_STREAM_LOG_UPDATE" in said:
        return ConflictError("another driver writes this checkpoint, as Spark says; stop one of them, then start again")
    return StorageError(f"Spark ended the query: {said.splitlines()[0]}; the whole story: --debug")
