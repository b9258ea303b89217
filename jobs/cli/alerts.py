"""The commands of alerts: rules tried before anybody is woken by them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import FeedName, Profile, Tables, app, out, settings_of
from schemas.errors import ContractError, SettingsError
from schemas.feed import load_feed

alerts = typer.Typer(help="Rules over predictions, rejects and events: conf/alerts.yaml.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")

Rules = Annotated[Path | None, typer.Option(metavar="FILE", help="Rules (default: conf/alerts.yaml).")]


@alerts.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Tests: made-up rows, and what is to fire by them.")],
) -> None:
    """Test rules against made-up rows in a file."""
    from jobs.monitoring.alerts.check import check as check_file
    from jobs.monitoring.alerts.show import lines_of

    results = check_file(file)
    for line in (line for result in results for line in lines_of(result)):
        out.print(line, markup=False, soft_wrap=True)
    if failed := sum(not result.is_passed for result in results):
        msg = f"{file}: {failed} of {len(results)} tests failed; correct the rules, or what is expected of them"
        raise ContractError(msg)


@alerts.command("dry-run")
def dry_run(
    feed: FeedName,
    span: Annotated[
        str, typer.Argument(metavar="[FROM..TO]", help="Times as 2026-11-29 or 2026-11-29T10:00, UTC (default: all).")
    ] = "..",
    rules: Rules = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, for programs.")] = False,
    tables: Tables = None,
    profile: Profile = None,
) -> None:
    """Print what would have fired over what was committed."""
    from jobs.monitoring.alerts.evaluate import Evaluator
    from jobs.monitoring.alerts.history import history
    from jobs.monitoring.alerts.show import json_of, line_of
    from schemas.alerts import load_rules
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    first, last = _span(span)
    loaded, followed = load_rules(rules), load_feed(feed)
    evaluator = Evaluator(loaded)
    for seen in history(followed, loaded, settings_of(profile, None, tables, None), first, last):
        for turn in evaluator.observe(seen):
            print(json_of(turn) if as_json else line_of(turn))


def _span(text: str) -> tuple[datetime | None, datetime | None]:
    """The times in `FROM..TO`; None where one is left out."""
    first, dots, last = text.partition("..")
    try:
        if not dots:
            raise ValueError
        times = [datetime.fromisoformat(one) if one else None for one in (first, last)]
    except ValueError:
        msg = f"found {text!r}, wanted FROM..TO, such as 2026-11-29..2026-11-30, 2026-11-29T10:00.. or .. for all"
        raise SettingsError(msg) from None
    begin, end = (time.replace(tzinfo=time.tzinfo or UTC) if time else None for time in times)
    return begin, end
