"""The report of a training run: one HTML page that needs no other file, to be opened from MLflow's artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).parent / "report.html.jinja"

Cell = str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and below it what there is of a sentence, a table and pictures.

    Attributes:
        columns, rows: of the table; numbers have four significant digits or more, true and false are passed and failed.
        pictures: SVG documents.
    """

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    pictures: Sequence[str] = ()


def html_report(title: str, passed: bool, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page: what was trained and the gate's verdict, then the sections.

    Args:
        facts: name → value, at the top.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"cell": _cell, "svg": _svg, "is_number": _is_number}
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(title=title, passed=passed, facts=facts, sections=sections)


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "passed" if value else "failed"
    if isinstance(value, float):
        return f"{value:#,.4g}" if abs(value) < 1e3 else f"{value:,.0f}"  # 0.5000: digits below digits
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else value


def _svg(document: str) -> str:
    """The element itself: an XML declaration or a doctype has no place inside HTML."""
    return document[max(0, document.find("<svg")) :]
