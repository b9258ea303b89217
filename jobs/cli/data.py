"""Commands that make data, fetch them, or describe them as a feed."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.cli.options import FeedName, Profile, app, out
from jobs.cli.variables import write_variables
from schemas.errors import SettingsError
from schemas.feed import load_feed
from schemas.settings import load_settings


@app.command()
def sample(
    feed: FeedName,
    rows: Annotated[int, typer.Option(help="In all files together.")] = 1000,
    files: Annotated[int, typer.Option(help="At most one for each row.")] = 10,
    out_dir: Annotated[str | None, typer.Option("--out", metavar="DIR", help="(default: the landing folder).")] = None,
    bad: Annotated[float, typer.Option(help="The ratio of rows that are spoiled, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Equal arguments give equal bytes.")] = 0,
    profile: Profile = None,
) -> None:
    """Make up CSV files for a feed."""
    from streamscore.storage.places import place
    from training.data.sample import sample as make_sample

    settings = write_variables(load_settings(profile))
    to = place(out_dir or settings.landing, feed)
    done = make_sample(load_feed(feed), rows, min(files, max(rows, 1)), to, bad, seed, settings.storage)
    spoiled = f", {done.bad_rows:,} of them spoiled" if done.bad_rows else ""
    out.print(f"{done.rows:,} rows in {done.files:,} files{spoiled}: {done.out}", soft_wrap=True)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A public data set: wine_quality, or macrodata, which needs no network.")],
    source: Annotated[str | None, typer.Option(help="A path or URL instead of the pinned one.")] = None,
) -> None:
    """Download a public data set and check its digest."""
    from training.data.fetch import fetch as fetch_data

    out.print(f"{fetch_data(name, source)}; next: streamscore train {name} --promote")


@app.command()
def schema(
    from_model: Annotated[str | None, typer.Option(help="A model URI.")] = None,
    from_data: Annotated[Path | None, typer.Option(help="A CSV or Parquet file, as a proposal to correct.")] = None,
    target: Annotated[str | None, typer.Option(help="With --from-data: the column to predict.")] = None,
    name: Annotated[str | None, typer.Option(help="The feed's name (default: the model's, or the file's).")] = None,
    ranges: Annotated[
        bool, typer.Option("--ranges", help="With --from-data: also ranges and allowed values, as the file has them.")
    ] = False,
    kind: Annotated[
        Literal["rows", "series"],
        typer.Option(help="With --from-data: what its rows are."),
    ] = "rows",
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it there, if there is no such file (default: print)."),
    ] = None,
    profile: Profile = None,
) -> None:
    """Propose a feed from a model's signature or from data: --from-data N.csv --out schemas/N.yaml."""
    if (from_model is None) == (from_data is None) or (from_model and kind == "series"):
        msg = "give one of --from-model URI and --from-data FILE [--kind series]; see streamscore schema --help"
        raise SettingsError(msg)
    if out_file and out_file.exists():
        msg = f"--out {out_file} is there already; delete it, or name another file"
        raise SettingsError(msg)
    if from_data:
        name = name or (out_file.stem if out_file else from_data.name.partition(".")[0])
        text = _feed_of_data(from_data, name, target, limits=ranges, is_series=kind == "series")
    else:
        assert from_model
        text = _feed_of_model(from_model, name, profile)
    if out_file:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        out_file.write_text(text, "utf-8")
    else:
        print(text, end="")


def _feed_of_data(path: Path, name: str, target: str | None, *, limits: bool, is_series: bool) -> str:
    from training.data.infer import propose_feed, propose_series

    if not is_series:
        return propose_feed(path, name, target or "", limits=limits)
    if target:
        msg = f"--target {target} and --kind series: a series has no target, its features are forecast; leave one out"
        raise SettingsError(msg)
    return propose_series(path, name, limits=limits)


def _feed_of_model(from_model: str, name: str | None, profile: str | None) -> str:
    from schemas.propose import feed_from_signature
    from streamscore.registry.model_uri import registered_name
    from streamscore.registry.registry import open_registry, signature_of

    registry = open_registry(write_variables(load_settings(profile)))
    ref = registry.resolve(from_model)
    asked = signature_of(registry.mlmodel(ref))
    registered = registered_name(from_model)
    follows = f"models:/{registered}@production" if registered else from_model
    return feed_from_signature(name or registered or ref.name, asked, follows, ref.title)
