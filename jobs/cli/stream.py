"""Commands that run a stream, or look at one from outside."""

import gc
import sys
from typing import Annotated, Literal

import typer

from jobs.cli.options import Checkpoint, FeedName, Landing, Profile, Tables, app, out, settings_of, working
from schemas.feed import load_feed
from schemas.settings import load_settings


@app.command()
def run(
    feed: FeedName,
    trigger: Annotated[
        str | None, typer.Option(help="0s, '5 minutes' or available-now (once is the same) (default: 0s).")
    ] = None,
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    model_uri: Annotated[str | None, typer.Option(help="Instead of the feed's: models:/…, runs:/….")] = None,
    max_files: Annotated[int | None, typer.Option(help="In one micro-batch (default: 1000).")] = None,
    clean: Annotated[
        Literal["off", "archive", "delete"] | None, typer.Option(help="Processed files (default: off).")
    ] = None,
    mode: Annotated[
        Literal["auto", "driver", "executors"] | None, typer.Option(help="Where to score (default: auto).")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics here.")] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Start over with a new checkpoint; the tables say what is done.")
    ] = False,
    class_path: Annotated[bool, typer.Option("--class-path", hidden=True, help="For spark-submit.sh.")] = False,
    profile: Profile = None,
) -> None:
    """Stream a feed: landed files in, predictions and rejects out, until SIGTERM or Ctrl-C."""
    settings = load_settings(
        profile,
        {
            "streaming.trigger": trigger,
            "landing": landing,
            "tables.path": tables,
            "checkpoint": checkpoint,
            "model_uri": model_uri,
            "streaming.max_files": max_files,
            "streaming.clean": clean,
            "streaming.mode": mode,
            "metrics.port": metrics_port,
        },
    )
    if class_path:
        from streamscore.spark.session import project_jars, spark_needs_store

        print(":".join(map(str, project_jars(with_store=spark_needs_store(settings)))))
        return
    from jobs.streaming.trigger import parse_trigger
    from streamscore.spark.session import in_background, start_session
    from streamscore.storage.object_store import is_object_uri

    wanted = load_feed(feed)
    parse_trigger(settings.streaming.trigger)
    gc.disable()  # until the stream is started: 1 s of 10 that imports take
    in_store = any(map(is_object_uri, (settings.landing, settings.tables.path, settings.checkpoint)))
    # The JVM starts while Python imports; not before a store is known to answer, as its first line would be no error.
    session = None if in_store else in_background(lambda: start_session(settings, f"streamscore {feed}"))
    import scipy.special  # noqa: F401  skops looks for each function of it in all modules, the oldest first: 0.6 s

    from jobs.streaming.run import run as run_stream
    from streamscore.logs import configure_logging

    if settings.streaming.trigger == "once":
        print("streamscore: --trigger once is deprecated in Spark and run as available-now", file=sys.stderr)
    configure_logging(debug=False)
    run_stream(wanted, settings, session, recover=recover, show_progress=sys.stderr.isatty())


@app.command()
def status(
    feed: FeedName,
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    profile: Profile = None,
) -> None:
    """What a feed's stream has done, from its tables and ledger alone; starts no Spark."""
    from jobs.operations.status import read_status, show_status

    settings = settings_of(profile, landing, tables, checkpoint)
    show_status(read_status(load_feed(feed), settings), out, as_json=as_json)


@app.command()
def maintain(
    feed: FeedName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Compact small files, trim table logs, delete what is in no table; beside a running stream or without."""
    from jobs.maintenance.maintain import Task
    from jobs.maintenance.maintain import maintain as maintain_tables
    from jobs.maintenance.show import show_report
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    task = Task.of(load_feed(feed), settings_of(profile, None, tables, checkpoint))
    with working("maintaining"):
        report = maintain_tables(task, dry_run=dry_run)
    show_report(report, out, dry_run=dry_run)


@app.command()
def replay(
    feed: FeedName,
    reason: Annotated[list[str] | None, typer.Option(help="A reason code; may be given again.")] = None,
    file: Annotated[str | None, typer.Option(help="Of this source_file only.")] = None,
    batch: Annotated[int | None, typer.Option(help="Of this batch_id only.")] = None,
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Land quarantined rows again, under their own header; the same selection twice lands nothing new."""
    from jobs.operations.replay.replay import Selection, replay_rows
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    settings = settings_of(profile, landing, tables, checkpoint)
    done = replay_rows(load_feed(feed), settings, Selection(tuple(reason or ()), file, batch))
    out.print(done.message, markup=False, emoji=False, soft_wrap=True)


@app.command()
def doctor(
    feed: Annotated[str, typer.Argument(metavar="FEED")] = "wine_quality",
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Check Java, versions, registry, landing, tables and checkpoint; one fix for each failure."""
    from jobs.operations.doctor.doctor import examine, show

    settings = settings_of(profile, landing, tables, checkpoint)
    sys.exit(show(examine(load_feed(feed), settings), out))


@app.command()
def demo(
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave the stream on afterwards.")] = False,
) -> None:
    """Train and register a model, stream made-up files, show the predictions; all under var/demo."""
    from jobs.demo import run_demo

    run_demo(out, keep_running=keep_running)
