"""Commands that run a stream, or look at one from outside."""

import sys
from typing import Annotated, Literal

import typer

from jobs.cli.options import Checkpoint, FeedName, Landing, Profile, Tables, app, out, settings_of, working
from jobs.cli.variables import write_variables
from schemas.feed import load_feed
from schemas.settings import load_settings

Trigger = Annotated[str | None, typer.Option(help="0s, '5 minutes' or available-now (once is the same) (default: 0s).")]
ModelUri = Annotated[str | None, typer.Option(help="Instead of the feed's: models:/…, runs:/…, store:/….")]
MaxFiles = Annotated[int | None, typer.Option(help="In one micro-batch (default: 1000).")]
Clean = Annotated[Literal["off", "archive", "delete"] | None, typer.Option(help="Processed files (default: off).")]
Mode = Annotated[Literal["auto", "driver", "executors"] | None, typer.Option(help="Where to score (default: auto).")]
MetricsPort = Annotated[int | None, typer.Option(help="Serve Prometheus metrics here.")]
Recover = Annotated[
    bool, typer.Option("--recover", help="Start over with a new checkpoint; the tables say what is done.")
]
ClassPath = Annotated[bool, typer.Option("--class-path", hidden=True, help="For spark-submit.sh.")]


@app.command()
def run(
    feed: FeedName,
    trigger: Trigger = None,
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    model_uri: ModelUri = None,
    max_files: MaxFiles = None,
    clean: Clean = None,
    mode: Mode = None,
    metrics_port: MetricsPort = None,
    recover: Recover = False,
    class_path: ClassPath = False,
    profile: Profile = None,
) -> None:
    """Stream a feed: landed files in, predictions and rejects out, until SIGTERM or Ctrl-C."""
    flags = {
        "streaming.trigger": trigger,
        "landing": landing,
        "tables.path": tables,
        "checkpoint": checkpoint,
        "model_uri": model_uri,
        "streaming.max_files": max_files,
        "streaming.clean": clean,
        "streaming.mode": mode,
        "metrics.port": metrics_port,
    }
    settings = load_settings(profile, flags)
    from jobs.streaming.launch import class_path_of, launch

    if class_path:
        print(class_path_of(settings))
    else:
        wanted = load_feed(feed)
        launch(wanted, write_variables(settings, registry=True), recover=recover, show_progress=sys.stderr.isatty())


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
    from jobs.operations.show_status import show_status
    from jobs.operations.status import read_status

    settings = settings_of(profile, landing, tables, checkpoint)
    show_status(read_status(load_feed(feed), settings), out, as_json=as_json)


@app.command()
def maintain(
    feed: Annotated[
        str, typer.Argument(metavar="FEED", help="A feed, or 'serving': the requests to models that have no feed.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Compact small files, trim table logs, delete what is in no table; beside a running stream or without."""
    from jobs.maintenance.maintain import Task, feed_or_service
    from jobs.maintenance.maintain import maintain as maintain_tables
    from jobs.maintenance.show import show_report
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    task = Task.of(feed_or_service(feed), settings_of(profile, None, tables, checkpoint))
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
