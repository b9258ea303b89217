"""The command line: flags in, exit codes out. Whatever is slow to import is imported by the command that needs it."""

import contextlib
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from schemas.errors import SettingsError, StreamscoreError
from schemas.feed import load_feed
from schemas.settings import Settings, load_settings

app = typer.Typer(
    help="CSV files in, predictions in a Delta table: low latency, exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Any command takes --debug for a traceback. Exit codes: 0 done, 2 usage or settings, 3 contract or gate, "
    "4 registry, 5 storage, 75 try again later.",
)
out = Console(highlight=False)

FeedName = Annotated[str, typer.Argument(metavar="FEED", help="A feed: the name of a file in schemas/.")]
Profile = Annotated[str | None, typer.Option(help="A file in conf/ (default: local).")]
Folder = Annotated[str | None, typer.Option(metavar="DIR")]


def main(arguments: Sequence[str] | None = None) -> None:
    """The `streamscore` command; ends the process with the exit code of what happened."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        app([a for a in arguments if a != "--debug"], prog_name="streamscore")
    except StreamscoreError as error:
        if debug:
            raise
        print(f"streamscore: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        said = " ".join(str(error).split())[:500]
        print(f"streamscore: unexpected {type(error).__name__}: {said}; the whole story: --debug", file=sys.stderr)
        sys.exit(1)


@app.command()
def run(
    feed: FeedName,
    trigger: Annotated[
        str | None, typer.Option(help="0s, '5 minutes' or available-now (once is the same) (default: 0s).")
    ] = None,
    landing: Folder = None,
    tables: Folder = None,
    checkpoint: Folder = None,
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
        from jobs.streaming.session import project_jars, spark_needs_store

        print(":".join(map(str, project_jars(with_store=spark_needs_store(settings)))))
        return
    from jobs.streaming.session import ahead, start_session
    from jobs.streaming.trigger import parse_trigger
    from schemas.object_store import is_object_uri

    wanted = load_feed(feed)
    parse_trigger(settings.streaming.trigger)
    gc.disable()  # until the stream is started: 1 s of 10 that imports take
    in_store = any(map(is_object_uri, (settings.landing, settings.tables.path, settings.checkpoint)))
    # The JVM starts while Python imports; not before a store is known to answer, as its first line would be no error.
    session = None if in_store else ahead(lambda: start_session(settings, f"streamscore {feed}"))
    import scipy.special  # noqa: F401  skops looks for each function of it in all modules, the oldest first: 0.6 s

    from jobs.stream import run as run_stream
    from jobs.streaming.progress import configure_logging

    if settings.streaming.trigger == "once":
        print("streamscore: --trigger once is deprecated in Spark and run as available-now", file=sys.stderr)
    configure_logging(debug=False)
    run_stream(wanted, settings, session, recover=recover, show_progress=sys.stderr.isatty())


@app.command()
def status(
    feed: FeedName,
    landing: Folder = None,
    tables: Folder = None,
    checkpoint: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    profile: Profile = None,
) -> None:
    """What a feed's stream has done, from its tables and ledger alone; starts no Spark."""
    from jobs.operations.status import read_status, show_status

    settings = _settings_of(profile, landing, tables, checkpoint)
    show_status(read_status(load_feed(feed), settings), out, as_json=as_json)


@app.command()
def maintain(
    feed: FeedName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    tables: Folder = None,
    checkpoint: Folder = None,
    profile: Profile = None,
) -> None:
    """Compact small files, trim table logs, delete what is in no table; beside a running stream or without."""
    from jobs.maintenance.maintain import Task
    from jobs.maintenance.maintain import maintain as maintain_tables
    from jobs.maintenance.show import show_report
    from jobs.streaming.progress import configure_logging

    configure_logging(debug=False)
    task = Task.of(load_feed(feed), _settings_of(profile, None, tables, checkpoint))
    with _working("maintaining"):
        report = maintain_tables(task, dry_run=dry_run)
    show_report(report, out, dry_run=dry_run)


@app.command()
def replay(
    feed: FeedName,
    reason: Annotated[list[str] | None, typer.Option(help="A reason code; may be given again.")] = None,
    file: Annotated[str | None, typer.Option(help="Of this source_file only.")] = None,
    batch: Annotated[int | None, typer.Option(help="Of this batch_id only.")] = None,
    landing: Folder = None,
    tables: Folder = None,
    checkpoint: Folder = None,
    profile: Profile = None,
) -> None:
    """Land quarantined rows again, under their own header; the same selection twice lands nothing new."""
    from jobs.operations.replay import Selection, replay_rows
    from jobs.streaming.progress import configure_logging

    configure_logging(debug=False)
    settings = _settings_of(profile, landing, tables, checkpoint)
    done = replay_rows(load_feed(feed), settings, Selection(tuple(reason or ()), file, batch))
    out.print(done.message, markup=False, emoji=False, soft_wrap=True)


@app.command()
def train(
    feed: FeedName,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="CSV or Parquet, a file or a folder (default: var/data/FEED.csv, else a sample)."
        ),
    ] = None,
    predictions: Annotated[
        str | None, typer.Option(metavar="DIR", help="Instead: a predictions table, joined with --labels.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(metavar="PATH", help="Late labels, by key or file and line.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Training settings (default: conf/training/FEED.yaml).")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Put a version that passes into Production.")] = False,
    if_drift: Annotated[
        bool, typer.Option("--if-drift", help="Only if the data drifted from those of the Production model.")
    ] = False,
    profile: Profile = None,
) -> None:
    """From data to a model version: exit 3 if the gate says no; nothing new if data, settings and code are the same."""
    from schemas.registry import open_registry
    from training.pipeline import train as train_model
    from training.settings import load_training_settings
    from training.show import show_training, tuning_progress
    from training.tabular import Source

    if (predictions is None) != (labels is None) or (predictions and data):
        raise SettingsError(
            "--predictions and --labels go together, and take the place of --data; give both or neither"
        )
    settings = load_settings(profile)
    with _working("training"), tuning_progress(out) as progress:
        result = train_model(
            load_feed(feed),
            Source(data, predictions or "", labels),
            open_registry(settings),
            load_training_settings(feed, config),
            promote=promote,
            only_if_drift=if_drift,
            storage=settings.storage,
            progress=progress,
        )
    show_training(feed, result, out)


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    version: Annotated[str | None, typer.Argument(help="Its version; not with --rollback.")] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="To the version that was in Production before; again: further back.")
    ] = False,
    feed: Annotated[
        str | None, typer.Option(help="The feed it must fit (default: the feed of the model's name).")
    ] = None,
    profile: Profile = None,
) -> None:
    """Put a version into Production: manifest, stage and alias; exit 3 if it does not fit or may not be loaded."""
    from schemas.registry import open_registry

    if rollback == (version is not None):
        raise SettingsError(
            f"wanted either a version or --rollback; next: streamscore models {name}, "
            f"then: streamscore promote {name} VERSION, or: streamscore promote {name} --rollback"
        )
    registry, fits = open_registry(load_settings(profile)), load_feed(feed or name)
    with _working("promoting"):
        done = registry.rollback(name, fits) if version is None else registry.promote(name, version, fits)
    before = f", before it v{done.previous}" if done.previous else ""
    out.print(f"{name} v{done.version} is in Production since {done.at:%Y-%m-%d %H:%M:%S} UTC by {done.by}{before}")


@app.command()
def models(name: Annotated[str, typer.Argument(help="A registered model.")], profile: Profile = None) -> None:
    """List the versions of a model, newest first, and who put which into Production when."""
    from jobs.operations.models import show_models
    from schemas.registry import open_registry

    registry = open_registry(load_settings(profile))
    show_models(registry.versions(name), registry.history(name), out)


@app.command()
def lineage(
    feed: FeedName,
    file: Annotated[str, typer.Option(help="As in the column source_file.")],
    line: Annotated[int, typer.Option(help="As in the column source_line: 1 is the file's first line.")],
    tables: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    profile: Profile = None,
) -> None:
    """Tell what a prediction was made of: model, code, data, schema, gate, and who promoted it."""
    from jobs.operations.lineage import show_lineage, trace
    from schemas.registry import open_registry

    settings = _settings_of(profile, None, tables, None)
    with _working("looking"):
        found = trace(load_feed(feed), settings, open_registry(settings), file, line)
    show_lineage(found, out, as_json=as_json)
    if found.trouble:
        raise found.trouble


@app.command("check-version", hidden=True)
def check_version(
    feed: FeedName,
    name: Annotated[str, typer.Argument(help="A registered model.")],
    profile: Profile = None,
) -> None:
    """Read a version from standard input; load it, predict its example, and again through the stream."""
    from jobs.operations.check_version import check_version as check
    from jobs.operations.check_version import import_all
    from schemas.registry import open_registry

    wanted, registry = load_feed(feed), open_registry(load_settings(profile))
    import_all()
    if version := sys.stdin.readline().strip():
        print(check(wanted, name, version, registry).to_json())


@app.command()
def sample(
    feed: FeedName,
    rows: Annotated[int, typer.Option(help="In all files together.")] = 1000,
    files: Annotated[int, typer.Option()] = 10,
    out_dir: Annotated[str | None, typer.Option("--out", metavar="DIR", help="(default: the landing folder).")] = None,
    bad: Annotated[float, typer.Option(help="The ratio of rows that are spoiled, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Equal arguments give equal bytes.")] = 0,
    profile: Profile = None,
) -> None:
    """Make up CSV files for a feed."""
    from jobs.streaming.storage.places import place
    from training.sample import sample as make_sample

    settings = load_settings(profile)
    to = place(out_dir or settings.landing, feed)
    done = make_sample(load_feed(feed), rows, files, to, bad, seed, settings.storage)
    spoiled = f", {done.bad_rows:,} of them spoiled" if done.bad_rows else ""
    out.print(f"{done.rows:,} rows in {done.files:,} files{spoiled}: {done.out}", soft_wrap=True)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A public data set: wine_quality, or macrodata, which needs no network.")],
    source: Annotated[str | None, typer.Option(help="A path or URL instead of the pinned one.")] = None,
) -> None:
    """Download a public data set and check its digest."""
    from training.fetch import fetch as fetch_data

    out.print(f"{fetch_data(name, source)}; next: streamscore train {name} --promote")


@app.command()
def schema(
    from_model: Annotated[str | None, typer.Option(help="A model URI.")] = None,
    from_data: Annotated[Path | None, typer.Option(help="A CSV or Parquet file, as a proposal to correct.")] = None,
    target: Annotated[str | None, typer.Option(help="With --from-data: the column to predict.")] = None,
    name: Annotated[str | None, typer.Option(help="The feed's name (default: the model's, or the file's).")] = None,
    profile: Profile = None,
) -> None:
    """Write a feed from a model's signature or from data: streamscore schema --from-data N.csv > schemas/N.yaml."""
    if (from_model is None) == (from_data is None):
        raise SettingsError("give one of --from-model URI and --from-data FILE; see streamscore schema --help")
    if from_data:
        from training.infer import propose_feed

        print(propose_feed(from_data, name or from_data.name.partition(".")[0], target or ""), end="")
        return
    assert from_model
    from schemas.model_uri import registered_name
    from schemas.propose import feed_from_signature
    from schemas.registry import open_registry, signature_of

    registry = open_registry(load_settings(profile))
    ref = registry.resolve(from_model)
    asked = signature_of(registry.mlmodel(ref))
    registered = registered_name(from_model)
    follows = f"models:/{registered}@production" if registered else from_model
    print(feed_from_signature(name or registered or ref.name, asked, follows), end="")


@app.command()
def doctor(
    feed: Annotated[str, typer.Argument(metavar="FEED")] = "wine_quality",
    landing: Folder = None,
    tables: Folder = None,
    checkpoint: Folder = None,
    profile: Profile = None,
) -> None:
    """Check Java, versions, registry, landing, tables and checkpoint; one fix for each failure."""
    from jobs.operations.doctor import examine, show

    settings = _settings_of(profile, landing, tables, checkpoint)
    sys.exit(show(examine(load_feed(feed), settings), out))


@app.command()
def demo(
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave the stream on afterwards.")] = False,
) -> None:
    """Train and register a model, stream made-up files, show the predictions; all under var/demo."""
    from jobs.demo import run_demo

    run_demo(out, keep_running=keep_running)


def _settings_of(profile: str | None, landing: str | None, tables: str | None, checkpoint: str | None) -> Settings:
    """The settings of a command that looks at a stream from outside."""
    return load_settings(profile, {"landing": landing, "tables.path": tables, "checkpoint": checkpoint})


def _working(what: str) -> contextlib.AbstractContextManager[object]:
    """A spinner on a terminal, nothing elsewhere."""
    return out.status(what) if out.is_terminal else contextlib.nullcontext()


if __name__ == "__main__":
    main()
