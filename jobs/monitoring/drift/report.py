"""One HTML page of how a feed drifts, which needs no other file and no script; what comes from CSV files is text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from jobs.monitoring.drift.find import DriftFound, Verdict
from jobs.monitoring.drift.pictures import distribution, effects
from jobs.monitoring.drift.show import AGAINST, cells, sentence, title
from schemas.errors import StorageError
from streamscore.statistics.sketches import ColumnSketch

TEMPLATE = Path(__file__).parent / "report.html.jinja"
MOST_SERIES, MOST_ROWS, MOST_PICTURES, MOST_WINDOWS = 20, 60, 24, 120  # of a page: at most 1 MB whatever the feed
CELL_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Shown:
    """A column with its charts.

    Attributes:
        said: alarm, drifted or alike.
    """

    column: str
    said: str
    picture: Markup
    history: Markup


def write_report(found: DriftFound, path: Path) -> None:
    """Write the page.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.write_text(report_page(found), encoding="utf-8")
    except OSError as error:
        msg = f"--report {path} cannot be written: {error.strerror}; name a file in a folder that is there"
        raise StorageError(msg) from error


def report_page(found: DriftFound) -> str:
    """The page: the verdicts, the worst first; of each its tests, and the charts of its worst columns."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shortened"] = lambda text: text if len(text) <= CELL_LENGTH else text[: CELL_LENGTH - 1] + "…"
    series = [
        {
            "title": title(verdict),
            "sentence": sentence(verdict),
            "state": "alarm" if verdict.alarms else "quiet" if verdict.baseline else "open",
            "rows": [cells(row) for row in verdict.rows[:MOST_ROWS]],
            "more": max(0, len(verdict.rows) - MOST_ROWS),
            "columns": list(_columns(verdict)),
            "baselines": [(name, AGAINST[name]) for name in verdict.baselines],
        }
        for verdict in found.verdicts[:MOST_SERIES]
    ]
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(
        found=found,
        series=series,
        more=max(0, len(found.verdicts) - MOST_SERIES),
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _columns(verdict: Verdict) -> Iterator[Shown]:
    window = verdict.window
    sketches = {of.name: of for of in (*window.features, *window.predictions)}
    names = dict.fromkeys(row["column"] for row in verdict.rows if row["column"] in sketches)
    before = _baselines(verdict)
    for name in list(names)[:MOST_PICTURES]:
        mine = [row for row in verdict.rows if row["column"] == name]
        said = "alarm" if any(r["alarm"] for r in mine) else "drifted" if any(r["drifted"] for r in mine) else "alike"
        of_values = [row for row in verdict.history if row["column"] == name and row["check"] == "values"]
        history = [(row["effect"], row["floor"], row["drifted"]) for row in of_values[-MOST_WINDOWS:]]
        here = {b: of[name] for b, of in before.items() if name in of}
        yield Shown(name, said, distribution(sketches[name], here), effects(history))


def _baselines(verdict: Verdict) -> dict[str, dict[str, ColumnSketch]]:
    """The sketches of each baseline by column."""
    return {
        name: {of.name: of for of in (*baseline.features, *baseline.predictions)}
        for name, baseline in verdict.baselines.items()
    }
