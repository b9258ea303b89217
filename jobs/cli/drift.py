"""The command that looks for drift."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.cli.options import FeedName, Profile, Tables, app, out, settings_of, working
from schemas.feed import load_feed


@app.command()
def drift(
    feed: FeedName,
    window: Annotated[str, typer.Option(help="A number of rows, or a time: 1000, 30m, 1h, 1d.")] = "1h",
    since: Annotated[
        str | None, typer.Option(help="A time, or how long before the newest row: 24h, 7d (default: 7d).")
    ] = None,
    baseline: Annotated[
        Literal["training", "week", "version"],
        typer.Option(help="What decides: the version's training data, the week before, or the version before."),
    ] = "training",
    slice_column: Annotated[
        str | None, typer.Option("--slice", metavar="COLUMN", help="Also by each value of a column of the table.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one HTML page.")] = None,
    tables: Tables = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    profile: Profile = None,
) -> None:
    """Whether the rows of the stream are still those that the model learned from; exit 3 if they are not."""
    from jobs.monitoring.drift.find import Asked, assert_no_alarm, find_drift
    from jobs.monitoring.drift.report import write_report
    from jobs.monitoring.drift.show import show_drift
    from jobs.monitoring.drift.window import WindowLength

    asked = Asked(WindowLength.parse(window), since, baseline, slice_column or "")
    settings, wanted = settings_of(profile, None, tables, None), load_feed(feed)
    with working("comparing"):
        registry = None
        if baseline == "training":
            from streamscore.registry.registry import open_registry

            registry = open_registry(settings)
        found = find_drift(wanted, settings, registry, asked)
    if report:
        write_report(found, report)
    show_drift(found, out, as_json=as_json)
    assert_no_alarm(found)
