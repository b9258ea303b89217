"""Commands that make, promote and explain model versions."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.options import FeedName, Profile, Tables, app, out, settings_of, working
from jobs.cli.variables import write_variables
from schemas.errors import SettingsError
from schemas.feed import load_feed
from schemas.settings import load_settings

if TYPE_CHECKING:
    from streamscore.registry.model_version import ModelVersion

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="CSV or Parquet, a file or a folder (default: var/data/FEED.csv, else a sample)."
    ),
]
Predictions = Annotated[
    str | None, typer.Option(metavar="DIR", help="Instead: a predictions table, joined with --labels.")
]
Labels = Annotated[Path | None, typer.Option(metavar="PATH", help="Late labels, by key or file and line.")]
Config = Annotated[
    Path | None, typer.Option(metavar="YAML", help="Training settings (default: conf/training/FEED.yaml).")
]
Promote = Annotated[bool, typer.Option("--promote", help="Put a version that passes into Production.")]
IfDrift = Annotated[
    bool, typer.Option("--if-drift", help="Only if the data drifted from those of the Production model.")
]


@app.command()
def train(
    feed: FeedName,
    data: Data = None,
    predictions: Predictions = None,
    labels: Labels = None,
    config: Config = None,
    promote: Promote = False,
    if_drift: IfDrift = False,
    profile: Profile = None,
) -> None:
    """From data to a model version: exit 3 if the gate says no; nothing new if data, settings and code are the same."""
    from training.settings import load_training_settings
    from training.suits import assert_suits

    if (predictions is None) != (labels is None) or (predictions and data):
        msg = "--predictions and --labels go together, and take the place of --data; give both or neither"
        raise SettingsError(msg)
    settings, declared, how = load_settings(profile), load_feed(feed), load_training_settings(feed, config)
    assert_suits(declared, how)  # before what takes seconds to import
    write_variables(settings, registry=True)
    from streamscore.registry.registry import open_registry
    from training.pipeline import train as train_model
    from training.rows import Source
    from training.show import show_training, tuning_progress

    with working("training"), tuning_progress(out) as progress:
        result = train_model(
            declared,
            Source(data, predictions or "", labels),
            open_registry(settings),
            how,
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
    """Put a version into Production: manifest, stage and alias; exit 3 if the feed's stream would refuse it."""
    from jobs.operations.trial import Trial, not_used
    from streamscore.registry.registry import open_registry

    if rollback == (version is not None):
        shown = shlex.quote(name)
        msg = (
            f"wanted either a version or --rollback; next: streamscore models {shown}, "
            f"then: streamscore promote {shown} VERSION, or: streamscore promote {shown} --rollback"
        )
        raise SettingsError(msg)
    settings, fits = write_variables(load_settings(profile)), load_feed(feed or name)
    registry = open_registry(settings)
    notes: list[str] = []
    with working("promoting"), Trial(fits, profile) as tried:

        def trial(path: Path, of: "ModelVersion") -> None:
            notes.extend(tried(path, of))

        if version is None:
            done = registry.rollback(name, fits, trial=trial)
        else:
            done = registry.promote(name, version, fits, trial=trial)
    before = f", before it v{done.previous}" if done.previous else ""
    out.print(f"{name} v{done.version} is in Production since {done.at:%Y-%m-%d %H:%M:%S} UTC by {done.by}{before}")
    for note in [*notes, *not_used(settings, name, fits)]:
        out.print(f"note: {note}", soft_wrap=True)


@app.command()
def models(name: Annotated[str, typer.Argument(help="A registered model.")], profile: Profile = None) -> None:
    """List the versions of a model, newest first, and who put which into Production when."""
    from jobs.operations.models import show_models
    from streamscore.registry.registry import open_registry

    registry = open_registry(write_variables(load_settings(profile)))
    show_models(registry.versions(name), registry.history(name), out)


@app.command()
def lineage(
    feed: FeedName,
    file: Annotated[str, typer.Option(help="As in the column source_file.")],
    line: Annotated[int, typer.Option(help="As in the column source_line: 1 is the file's first line.")],
    tables: Tables = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    profile: Profile = None,
) -> None:
    """Tell what a prediction was made of: model, code, data, schema, gate, and who promoted it."""
    from jobs.operations.lineage import show_lineage, trace
    from streamscore.registry.registry import open_registry

    settings = settings_of(profile, None, tables, None)
    with working("looking"):
        found = trace(load_feed(feed), settings, open_registry(settings), file, line)
    show_lineage(found, out, as_json=as_json)
    if found.trouble:
        raise found.trouble


@app.command("try-version", hidden=True)
def try_version(feed: FeedName, profile: Profile = None) -> None:
    """Read from standard input where the files of a version are; load it, and put a file of the feed through it."""
    from jobs.operations.trial import try_version as try_it
    from streamscore.models.load import import_loaders

    wanted = load_feed(feed)
    write_variables(load_settings(profile))
    import_loaders()
    if asked := sys.stdin.readline().strip():
        print(try_it(wanted, asked))


@app.command("check-version", hidden=True)
def check_version(
    feed: FeedName,
    name: Annotated[str, typer.Argument(help="A registered model.")],
    profile: Profile = None,
) -> None:
    """Read a version from standard input; load it, predict its example, and again through the stream."""
    from jobs.operations.check_version import check_version as check
    from jobs.operations.check_version import import_all
    from streamscore.registry.registry import open_registry

    wanted, registry = load_feed(feed), open_registry(write_variables(load_settings(profile)))
    import_all()
    if version := sys.stdin.readline().strip():
        print(check(wanted, name, version, registry).to_json())


@app.command()
def compare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that a candidate was tried beside.")],
    limit: Annotated[
        float | None, typer.Option(help="Exit 3 if a shadow's mean absolute difference is above this.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    profile: Profile = None,
) -> None:
    """A candidate that was tried, by shadow or canary, against Production: differences and latency."""
    from jobs.operations.compare import assert_within, show
    from jobs.operations.compare import compare as compare_both

    found = compare_both(name, load_settings(profile))
    if as_json:
        print(found.to_json())
    else:
        show(found, out)
    if limit is not None:
        assert_within(found, limit)
