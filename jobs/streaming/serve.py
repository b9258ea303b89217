"""From a query that Spark has begun to its clean stop."""

import gc
import time
from typing import TYPE_CHECKING, Any

import structlog

from jobs.streaming.early_commit import EarlyCommit
from jobs.streaming.micro_batch import MicroBatchProcessor
from jobs.streaming.query_error import NO_JVM, query_error
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.open import open_shadows
from jobs.streaming.routed.score import RoutedScorer
from jobs.streaming.score_batch import BatchScorer, Scorer
from jobs.streaming.start import POLL_SECONDS, StartedQuery, session_of
from jobs.streaming.stop import Stop
from jobs.streaming.trigger import parse_trigger
from schemas.errors import ConflictError
from streamscore.tables.writers import writer_of

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

STOP_SECONDS = 10  # for Spark to write the commit of the last micro-batch


def serve_until_stopped(started: StartedQuery) -> None:
    """Score what the query plans until it ends, or until the run is asked to stop; then a clean stop.

    1. Wait until Spark has begun the query.  2. Let in its first micro-batch, which waits.  3. Wait for the end.
    4. Stop the query, after the micro-batch that is running.  5. Raise what ended it, or clean up.

    Raises:
        StreamscoreError: the query ended of it, or another driver took the checkpoint.
    """
    run = started.prepared.run
    # 1
    while not started.begun.done() and not run.stop.wait(POLL_SECONDS):  # a JVM that hangs is no reason not to stop
        pass
    try:
        if not run.stop.is_asked:
            query = started.begun.result()
            batches = _let_in(started)  # 2
            _wait(query, batches, run.stop)  # 3
            _stop(query, batches, started)  # 4
            _conclude(query, batches, started)  # 5
    except NO_JVM as error:
        if not run.stop.is_asked:  # a signal to the whole group of processes, as systemd sends it, ends it too
            raise query_error(error) from error
    run.stop.assert_not_lost(started.prepared.checkpoint.folder.uri)
    log.info("stream stopped", feed=run.feed.name)


def _let_in(started: StartedQuery) -> MicroBatchProcessor:
    """Make the processor that the first micro-batch waits for; from here on the early thread works too."""
    prepared, early, run = started.prepared, started.early, started.prepared.run
    checkpoint = prepared.checkpoint
    writer = writer_of(run.tables, session_of(started.session))
    checkpoint.note_ready()
    gc.freeze()  # what is loaded by now stays: no look at it in the middle of a micro-batch
    gc.enable()
    scorer = _scorer(started)
    batches = MicroBatchProcessor(
        checkpoint,
        run.tables,
        writer,
        scorer=scorer,
        archive=run.archive,
        report=prepared.report.batch,
        first=prepared.first,
    )
    commit_early = EarlyCommit(batches, checkpoint.folder, writer, scorer)
    early.listen(
        lambda manifest: scorer.score_early(batches.next_id, manifest), commit_early, prepared.report.take_troubles
    )
    started.processor.set_result(batches)
    trigger = parse_trigger(run.settings.streaming.trigger)
    log.info("stream started", feed=run.feed.name, landing=run.paths.landing.uri, trigger=trigger)
    return batches


def _scorer(started: StartedQuery) -> Scorer:
    """What scores the micro-batches: by one model, or by those of the routes."""
    run, models = started.prepared.run, started.watcher
    streaming, tables = run.settings.streaming, run.tables
    more: Any = {"app_id": started.prepared.checkpoint.app_id, "landing": run.landing, "early": started.early}
    if isinstance(models, RoutedModels):
        shadows = open_shadows(run, models)
        shadows.start()
        started.prepared.undo.callback(shadows.stop)
        return RoutedScorer(streaming, tables, models=models, shadows=shadows, **more)
    return BatchScorer(streaming, tables, watcher=models, **more)


def _wait(query: "StreamingQuery", batches: MicroBatchProcessor, stop: Stop) -> None:
    """Until the query ends or the stop is asked for, and the micro-batch that is running is through."""
    try:
        while query.isActive and not stop.wait(0.2):
            pass
    finally:
        batches.finish()


def _stop(query: "StreamingQuery", batches: MicroBatchProcessor, started: StartedQuery) -> None:
    """Stop the query, once Spark has written its own commit of the last micro-batch."""
    checkpoint, last = started.prepared.checkpoint, batches.outcome
    until = time.monotonic() + STOP_SECONDS
    while query.isActive and last.manifest and checkpoint.last_commit < last.batch_id and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    query.stop()


def _conclude(query: "StreamingQuery", batches: MicroBatchProcessor, started: StartedQuery) -> None:
    """Raise what ended the query; where it was our stop, clean up after what the source did not come to."""
    prepared, run, outcome = started.prepared, started.prepared.run, batches.outcome
    run.stop.assert_not_lost(prepared.checkpoint.folder.uri)
    if (error := query.exception()) and not outcome.turned_away:
        if outcome.error is None and run.stop.is_asked:  # of processes that got the signal too
            log.warning("query ended", feed=run.feed.name, detail=str(query_error(error)))
            return
        if isinstance(outcome.error, ConflictError):
            prepared.report.event("conflict", detail=str(outcome.error))
        raise outcome.error or query_error(error) from error
    if outcome.manifest:
        run.archive.sweep(run.archive.unswept(prepared.checkpoint.manifests(outcome.batch_id)))
        prepared.report.report_troubles()
