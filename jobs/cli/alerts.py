"""The commands of alerts: rules tried before anybody is woken by them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Checkpoint, FeedName, Landing, Profile, Tables, app, out, settings_of
from schemas.errors import ContractError, SettingsError, StorageError
from schemas.feed import load_feed

alerts = typer.Typer(help="Rules over predictions, rejects and events: conf/alerts.yaml.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")

Rules = Annotated[Path | None, typer.Option(metavar="FILE", help="Rules (default: conf/alerts.yaml).")]


@app.command()
def watch(
    feeds: Annotated[list[str], typer.Argument(metavar="FEED...", help="The names of files in schemas/.")],
    rules: Rules = None,
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Evaluate the rules of alerts at each commit, and send notices, until SIGTERM or Ctrl-C."""
    from jobs.monitoring.alerts.run import run
    from schemas.alerts import load_alerts
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    if len(feeds) > 1 and (landing or tables or checkpoint):
        msg = "--landing, --tables and --checkpoint are of one feed; give one feed, or set them with {feed} in conf/"
        raise SettingsError(msg)
    settings = settings_of(profile, landing, tables, checkpoint)
    run([load_feed(feed) for feed in feeds], load_alerts(rules), settings)


@alerts.command("list")
def list_alerts(feed: FeedName, tables: Tables = None, profile: Profile = None) -> None:
    """Print, as JSON, which rules are not inactive, and which notices are not received."""
    from jobs.monitoring.alerts.show import open_of
    from jobs.monitoring.alerts.store import AlertsTable
    from schemas.tables import ALERTS
    from streamscore.tables.make import is_table
    from streamscore.tables.read_table import table_uri

    settings = settings_of(profile, None, tables, None)
    uri = table_uri(load_feed(feed), ALERTS, settings, "read_table")
    if not is_table(uri, settings.storage):
        msg = f"no table at {uri} yet; make it: streamscore watch {feed}"
        raise StorageError(msg)
    print(json.dumps(open_of(AlertsTable(uri, settings.storage).load() or {}), indent=1, ensure_ascii=False))


@alerts.command("test")
def send_test_notice(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Its name in the file of the rules.")],
    rules: Rules = None,
) -> None:
    """Send one notice to a receiver now, and say what it answered."""
    from jobs.monitoring.alerts.run import send_test
    from schemas.alerts import load_alerts

    out.print(send_test(receiver, load_alerts(rules)), markup=False, soft_wrap=True)


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
    from schemas.alerts import load_alerts
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    first, last = _span(span)
    loaded, followed = load_alerts(rules).rules, load_feed(feed)
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
