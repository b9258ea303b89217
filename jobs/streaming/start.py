"""The start of a query: Spark begins it while the model loads, and its first micro-batch waits for the model."""

import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from jobs.streaming.early import EarlyScoring
from jobs.streaming.micro_batch import MicroBatchProcessor
from jobs.streaming.prepare import Prepared
from jobs.streaming.query_error import NO_JVM, query_error
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.open import open_routed_models
from jobs.streaming.source import landing_frame
from jobs.streaming.trigger import parse_trigger
from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest, landed_path
from streamscore.landing.take_up import take_up
from streamscore.models.load import import_first
from streamscore.models.watch import ModelWatcher
from streamscore.registry.registry import open_registry
from streamscore.spark.session import in_background
from streamscore.storage.places import hadoop_uri
from streamscore.tables.recover import processed_files, refused_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

POLL_SECONDS = 0.02
STARTS = 3  # of a query whose source comes up too late
LATE = ("Python worker failed to connect back", "CANNOT_OPEN_SOCKET")  # in what Spark says of one

# One that is running, or one that is begun for this run, which ends it.
Session: TypeAlias = "SparkSession | Future[SparkSession]"


@dataclass(frozen=True, slots=True)
class StartedQuery:
    """A query that Spark begins, and the model that its micro-batches are scored with.

    Attributes:
        begun: Spark's query, as soon as it has begun it.
        processor: what its micro-batches wait for; whoever waits for the query sets it.
    """

    prepared: Prepared
    session: Session
    begun: "Future[StreamingQuery]"
    processor: Future[MicroBatchProcessor]
    watcher: ModelWatcher | RoutedModels
    early: EarlyScoring


def start_query(prepared: Prepared, session: Session) -> StartedQuery:
    """Begin the query in the background, and make ready what its first micro-batch waits for.

    1. Begin the query, so that Spark plans its first micro-batch meanwhile.  2. Make the model and the tables ready.
    With `--recover`, or without a lease, Spark may not look into the landing folder before step 2 is done; then the
    query begins after it.

    Args:
        session: one that is running; or one that is begun for this run, which ends it.

    Raises:
        ContractError: the model does not fit the feed, and none was accepted before.
        RegistryError: the registry does not answer, or has no such version.
        StorageError: checkpoint or tables cannot be written.
    """
    undo, checkpoint = prepared.undo, prepared.checkpoint
    early = EarlyScoring()
    undo.callback(early.close)
    if isinstance(session, Future):
        undo.callback(_stop_session, session)
    processor: Future[MicroBatchProcessor] = Future()
    if prepared.run.settings.streaming.lease and not prepared.recover:
        checkpoint.note_start(prepared.replay_until)
        begun = _begin(prepared, session, early.address, processor)  # 1
        watcher = _make_ready(prepared)  # 2
    else:
        watcher = _make_ready(prepared)  # 2
        begun = _begin(prepared, session, early.address, processor)  # 1
    return StartedQuery(prepared, session, begun, processor, watcher, early)


def session_of(given: Session) -> "SparkSession":
    """The session, once it is there."""
    return given.result() if isinstance(given, Future) else given


def load_model(prepared: Prepared) -> ModelWatcher | RoutedModels:
    """Load the version in Production, watch for the next one, and make the tables that hold its predictions.

    Of a routed feed those that the routes name.
    """
    run = prepared.run
    if run.feed.kind == "rows":
        import_first()
    if run.feed.routing:
        models = open_routed_models(run, prepared.checkpoint.folder, prepared.report.event)
        run.tables.create(models.start(run.tables.prediction_type, prepared.replay_until))
        return models
    uri, of = run.settings.model_uri or run.feed.model_uri, run.settings.registry
    registry, folder, scratch = open_registry(run.settings), prepared.checkpoint.folder, run.paths.scratch
    watcher = ModelWatcher(uri, run.feed, registry, folder, scratch, prepared.report.event)
    model = watcher.start(run.tables.prediction_type, prepared.replay_until, of.poll_seconds, of.start_without)
    run.tables.create(model.output)
    return watcher


def _make_ready(prepared: Prepared) -> ModelWatcher | RoutedModels:
    """The model, then the tables, which are this run's from here on, then what is done beside the stream.

    They are taken before a new checkpoint is told what is done: nobody adds to it after that.

    Raises:
        ConflictError: another checkpoint owns the tables.
    """
    watcher = load_model(prepared)
    prepared.undo.callback(watcher.stop)
    prepared.run.tables.take_over(prepared.checkpoint.app_id, recover=prepared.recover)
    if prepared.recover:
        _fill_ledger(prepared)
    prepared.housekeeping.start()
    prepared.undo.callback(prepared.housekeeping.stop)
    return watcher


def _fill_ledger(prepared: Prepared) -> None:
    """Tell a new checkpoint which files are done, as the tables say; what was cleaned up and is not lands again."""
    run, checkpoint = prepared.run, prepared.checkpoint
    seen = processed_files(run.tables, checkpoint.app_id)
    if any(taken := take_up(run.paths.landing, seen, run.feed.csv.endings)):
        prepared.report.event("taken_up", detail=str(taken))
    for folder in run.paths.results:  # nothing is called done that a power cut could still undo
        folder.sync()
    run.archive.note_refused(landed_path(name, run.landing) for name in refused_files(run.tables))
    Ledger(checkpoint.folder.open_journal(LEDGER)).append(BatchManifest(0, tuple(seen)))


def _begin(
    prepared: Prepared,
    session: Session,
    announce_to: str,
    processor: Future[MicroBatchProcessor],
) -> "Future[StreamingQuery]":
    begun = in_background(lambda: _begin_query(prepared, session_of(session), announce_to, processor))
    prepared.undo.callback(_abandon, begun, processor)
    return begun


def _begin_query(
    prepared: Prepared, spark: "SparkSession", announce_to: str, processor: Future[MicroBatchProcessor]
) -> "StreamingQuery":
    """Spark's query; its first micro-batch is planned while the model loads, and waits for the processor.

    Spark gives the source's process 10 s to come up; on a machine too busy for that it is begun again.
    """
    trigger = parse_trigger(prepared.run.settings.streaming.trigger)
    writer = landing_frame(spark, prepared.run, announce_to).writeStream
    writer = writer.foreachBatch(lambda frame, batch_id: processor.result()(frame, batch_id))
    writer = writer.option("checkpointLocation", hadoop_uri(prepared.checkpoint.folder.uri))
    writer = writer.queryName(prepared.run.feed.name)
    for left in reversed(range(STARTS)):
        try:
            query = writer.trigger(**trigger).start()  # type: ignore[arg-type]
        except Exception as error:  # whatever Java throws
            raise query_error(error) from error
        while query.isActive and query.status["message"].startswith("Initializing"):
            time.sleep(POLL_SECONDS)
        said = str(query.exception())
        if not any(late in said for late in LATE) or not left:
            break
    return query


def _abandon(begun: "Future[StreamingQuery]", processor: Future[MicroBatchProcessor]) -> None:
    """Stop a query whose micro-batches did not get a processor, as soon as Spark has begun it."""

    def stop(done: "Future[StreamingQuery]") -> None:
        if not done.exception():
            with suppress(*NO_JVM):
                done.result().stop()

    if processor.cancel():
        begun.add_done_callback(stop)


def _stop_session(session: "Future[SparkSession]") -> None:
    if session.done() and not session.exception():  # else it ends with the process
        with suppress(*NO_JVM):
            session.result().stop()
