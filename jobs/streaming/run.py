"""A run of the stream, from its folders to its clean stop."""

import os
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.streaming.prepare import StreamRun, open_run, prepare
from jobs.streaming.serve import serve_until_stopped
from jobs.streaming.start import Session, start_query
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.spark.session import in_background, start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
    opened = open_run(feed, settings, show_progress=show_progress)
    opened.stop.on_signals()
    session = session or in_background(lambda: start_session(settings, f"streamscore {feed.name}"))
    stream_until_stopped(opened, session, recover=recover)


def stream_until_stopped(run: StreamRun, session: Session, *, recover: bool = False) -> None:
    """The run itself: prepare, start the query, serve until it is stopped. Whatever was begun is ended, newest first.

    Args:
        session: one that is running; or one that is begun for this run, which ends it.
    """
    with ExitStack() as undo:
        prepared = prepare(run, undo, recover=recover)
        query = start_query(prepared, session)
        serve_until_stopped(query)
