"""What `streamscore run` starts first: the JVM comes up while Python imports what the stream needs."""

import gc
import sys

from jobs.streaming.trigger import parse_trigger
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.spark.before_start import allow_open_files, assert_can_start, this_machine
from streamscore.spark.session import in_background, is_submitted, project_jars, spark_needs_store, start_session
from streamscore.storage.object_store import is_object_uri


def launch(feed: Feed, settings: Settings, *, recover: bool, show_progress: bool) -> None:
    """Stream a feed until it is stopped, or caught up if the trigger says so.

    1. Refuse a trigger that is none, and a machine on which no JVM starts, before anything starts.  2. Begin to start
    the JVM.  3. Import what the stream needs meanwhile.  4. Run the stream.

    Raises:
        StreamscoreError: the stream cannot start, or ended of it.
    """
    # 1
    parse_trigger(settings.streaming.trigger)
    allow_open_files()
    if not is_submitted():
        assert_can_start(this_machine(), settings.spark)
    # 2
    gc.disable()  # until the stream is started: 1 s of 10 that imports take
    in_store = any(map(is_object_uri, (settings.landing, settings.tables.path, settings.checkpoint)))
    # Not before a store is known to answer: the first line would be one of the JVM's, and no error.
    session = None if in_store else in_background(lambda: start_session(settings, f"streamscore {feed.name}"))
    # 3
    import scipy.special  # noqa: F401  skops looks for each function of it in all modules, the oldest first: 0.6 s

    from jobs.streaming.run import run
    from streamscore.logs import configure_logging

    # 4
    if settings.streaming.trigger == "once":
        print("streamscore: --trigger once is deprecated in Spark and run as available-now", file=sys.stderr)
    configure_logging(debug=False)
    run(feed, settings, session, recover=recover, show_progress=show_progress)


def class_path_of(settings: Settings) -> str:
    """The jars that `spark-submit.sh` puts on the class path."""
    return ":".join(map(str, project_jars(with_store=spark_needs_store(settings))))
