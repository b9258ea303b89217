"""A run of the stream: everything set up, the query started, and a clean stop."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from jobs.streaming import failpoints
from jobs.streaming.archive import Archive
from jobs.streaming.checkpoint import Checkpoint, open_checkpoint
from jobs.streaming.commit import Commit
from jobs.streaming.fold import Housekeeping
from jobs.streaming.follow import Follower
from jobs.streaming.ledger import Ledger
from jobs.streaming.manifest import Manifest
from jobs.streaming.progress import BatchDone, Display, RunMetrics
from jobs.streaming.query import MicroBatches
from jobs.streaming.recover import adopt, assert_known_checkpoint
from jobs.streaming.session import ship_code, start_session
from jobs.streaming.tables import Tables
from jobs.streaming.trigger import parse_trigger
from schemas.errors import FeedError, StorageError
from schemas.feed import Feed
from schemas.registry import open_registry
from schemas.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming import StreamingQuery

log = structlog.get_logger()


def run(feed: Feed, settings: Settings, *, recover: bool = False, show_progress: bool = False) -> None:
    """Stream a feed's landing folder into its tables until it is stopped, or caught up if the trigger says so.

    SIGTERM and Ctrl-C finish the running micro-batch and return.

    Raises:
        StreamscoreError: the stream cannot start, or ended of it.
    """
    if feed.kind != "rows":
        raise FeedError(f"feed {feed.name} is of kind '{feed.kind}', this version streams 'rows'; see README")
    trigger = parse_trigger(settings.streaming.trigger)
    folders = make_folders(feed, settings)
    stop = _stop_on_signals()
    with ExitStack() as undo, ThreadPoolExecutor(1) as starting:
        # the JVM takes seconds to start, and so does MLflow: both at once
        session = starting.submit(start_session, settings, f"streamscore {feed.name}")
        checkpoint = open_checkpoint(folders.checkpoint, feed, folders.landing.as_uri(), recover=recover)
        _arm_fail_points(settings)
        tables = Tables(folders.tables, feed, settings.tables)
        assert_known_checkpoint(tables, checkpoint.app_id, is_new=checkpoint.is_new, recover=recover)
        metrics = RunMetrics(feed)
        metrics.serve(settings.metrics)
        keeping = Housekeeping(tables, checkpoint.app_id)

        def tell(kind: str, name: str, version: str, detail: str) -> None:
            keeping.event(kind, name, version, detail)
            metrics.event(kind)

        uri = settings.model_uri or feed.model_uri
        follower = Follower(uri, feed, open_registry(settings), checkpoint.folder, tell)
        undo.callback(follower.stop)
        model = follower.start(tables.prediction_type, checkpoint.last_offset, settings.registry.poll_seconds)
        tables.create(model.output)
        if recover:
            Ledger(checkpoint.folder / "ledger.jsonl").append(Manifest(0, tuple(adopt(tables, checkpoint.app_id))))
        keeping.start()
        undo.callback(keeping.stop)
        spark = session.result()
        display = Display(folders.landing, show_progress and "availableNow" in trigger)
        undo.callback(display.close)

        def report(done: BatchDone, commit: Commit | None) -> None:
            metrics.batch(done)
            metrics.model(model.name, done.model_version)
            display.batch(done)
            log.info("batch", feed=feed.name, **done.as_log())
            keeping.committed()

        archive = Archive(folders.landing, settings.streaming.clean, checkpoint.folder)
        batches = MicroBatches(
            feed,
            settings.streaming,
            checkpoint=checkpoint.folder,
            app_id=checkpoint.app_id,
            landing=folders.landing.as_uri(),
            tables=tables,
            writer=tables.writer(spark),
            follower=follower,
            archive=archive,
            report=report,
        )
        query = _start_query(spark, settings, folders, batches, trigger)
        log.info("stream", feed=feed.name, state="started", model=f"{model.name} v{model.version}", landing=str(folders.landing))
        _until_done(query, batches, stop, checkpoint)
        if batches.last:
            archive.sweep(batches.last[1].files)
        log.info("stream", feed=feed.name, state="stopped")
