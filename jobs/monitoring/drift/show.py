"""What `streamscore drift` prints."""

import json
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from jobs.monitoring.drift.find import DriftFound, Verdict

AGAINST = {"training": "the training data", "week": "the week before", "version": "the version before"}
MOST_ROWS = 20  # of a series; the table `drift` has all


def show_drift(found: DriftFound, out: Console, *, as_json: bool) -> None:
    """Each series' newest window, the worst column first; or one JSON object."""
    if as_json:
        print(_json(found), file=out.file)
        return
    for note in found.notes:
        out.print(f"note: {note}", soft_wrap=True, markup=False)
    if not found.verdicts:
        out.print(
            f"{found.feed}: no window of {found.length} is closed yet; it wants at least 100 rows from 5 files, and a "
            f"later row after its time",
            soft_wrap=True,
        )
    for verdict in found.verdicts:
        _show_verdict(verdict, found, out)


def title(verdict: Verdict) -> str:
    """Which window of what."""
    window, series = verdict.window, verdict.window.series
    of = f", {series.slice}" if series.slice else ""
    rows = f"{window.rejected.rows - window.rejected.rejected:,} rows of {window.files:,} files"
    when = f"{window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC"
    return f"{series.model_name} v{series.model_version}{of}: {rows}, {when}"


def sentence(verdict: Verdict) -> str:
    """The verdict."""
    if not verdict.baseline:
        return "no verdict: there is nothing to compare with yet"
    against = AGAINST[verdict.baseline]
    if verdict.alarms:
        causes = {row["cause"] for row in verdict.alarms if row["cause"]}
        why = f" ({', '.join(sorted(causes))})" if causes else ""
        return f"alarm: {_columns(verdict.alarms)} drifted from {against} in 2 of the last 3 windows{why}"
    drifted = [row for row in verdict.rows if row["drifted"]]
    if drifted:
        return f"{_columns(drifted)} drifted from {against} in this window; an alarm wants 2 of 3 windows"
    return f"no drift from {against}"


def cells(row: dict[str, Any]) -> list[str]:
    """A row of `drift` as text: column, check, verdict, effect, p, share or distance, rows."""
    if row["check"] is None:
        return [row["column"], "", row["note"], "", "", "", ""]
    said = "alarm" if row["alarm"] else "drifted" if row["drifted"] else "alike"
    if row["share_now"] is not None:
        far = f"{row['share_before']:.2%} → {row['share_now']:.2%}"
    elif row["wasserstein"] is not None:
        far = f"{row['wasserstein']:.2f} sd"
    else:
        far = ""
    psi = "" if row["psi"] is None else f"{round(row['psi'], 2) + 0:.2f}"  # no -0.00
    return [row["column"], row["check"], said, f"{row['effect']:.3f}", f"{row['p_adjusted']:.2g}", far, psi]


def _show_verdict(verdict: Verdict, found: DriftFound, out: Console) -> None:
    out.print(Text(title(verdict), "bold"), soft_wrap=True)
    out.print(Text(sentence(verdict)), soft_wrap=True)
    if not verdict.rows:
        return
    table = Table(Column("column", overflow="fold"), "check", "", "effect", "p (Holm)", "moved", "PSI", box=SIMPLE)
    for row in verdict.rows[:MOST_ROWS]:
        style = "red" if row["alarm"] else "yellow" if row["drifted"] else ""
        table.add_row(*(Text(cell) for cell in cells(row)), style=style)
    out.print(table)
    if len(verdict.rows) > MOST_ROWS:
        out.print(f"and {len(verdict.rows) - MOST_ROWS} more: read_table('{found.feed}', 'drift')", markup=False)


def _columns(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(row["column"] for row in rows))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _json(found: DriftFound) -> str:
    body = {
        "feed": found.feed,
        "window": found.length,
        "alarms": len(found.alarms),
        "notes": found.notes,
        "series": [
            {"verdict": sentence(one), "baseline": one.baseline or None, "rows": one.rows} for one in found.verdicts
        ],
    }
    return json.dumps(body, default=lambda value: value.isoformat(), ensure_ascii=False)
