"""The flow of `streamscore drift`: rows, windows, verdicts, the tables, what is to be told."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deltalake.exceptions import DeltaError

from jobs.monitoring.drift.baselines import WEEK, Baseline, Name, Training, baselines_of
from jobs.monitoring.drift.judge import judge, said_before
from jobs.monitoring.drift.profiles import Series, Wanted, Window, newest_time, profile_windows
from jobs.monitoring.drift.tables import drift_row, profile_rows, read, windows_of
from jobs.monitoring.drift.window import WindowLength
from schemas.errors import ContractError, SettingsError, StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import DRIFT, DRIFT_PROFILES
from streamscore.registry.registry import Registry
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.log_entry import unusable
from streamscore.tables.tables import Tables

SINCE = timedelta(days=7)
OLDEST = datetime(1971, 1, 1, tzinfo=UTC)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        since: the oldest rows; None: 7 days before the newest row.
        baseline: the one that decides.
        slice_column: its values are slices; empty: none.
    """

    length: WindowLength
    since: str | None = None
    baseline: Name = "training"
    slice_column: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the newest window of a series.

    Attributes:
        baseline: which decided; empty: there was none.
        rows: of `drift`, of this window and baseline, the worst first.
        history: of the series beside the deciding baseline, all windows, oldest first.
        baselines: what the window was held against, by name.
    """

    window: Window
    baseline: str
    rows: Sequence[dict[str, Any]]
    history: Sequence[dict[str, Any]]
    baselines: Mapping[str, Baseline]

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """The rows that alarm."""
        return [row for row in self.rows if row["alarm"]]


@dataclass(frozen=True, slots=True)
class DriftFound:
    """What `drift` tells.

    Attributes:
        verdicts: those with alarms first, then the newest.
        windows: all that are known, oldest first.
        made: how many of them are new.
        notes: what could not be compared, and why.
    """

    feed: str
    length: str
    verdicts: Sequence[Verdict]
    windows: Sequence[Window]
    made: int
    notes: Sequence[str]

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """The rows that alarm, of all series."""
        return [row for verdict in self.verdicts for row in verdict.alarms]


def find_drift(feed: Feed, settings: Settings, registry: Registry | None, asked: Asked) -> DriftFound:
    """Bring both tables up to date, and say how it stands.

    1. The windows that are known.  2. The closed windows that are not.  3. The verdicts that are not said yet.  Steps 2
    and 3 append to the tables; a crash between them is mended by the next run.

    Args:
        registry: None: the baseline training is not asked for.

    Raises:
        SettingsError: a series feed, or something is asked for that is not there.
        StorageError: the tables are not there, or cannot be used.
        TryAgainError: another run appended meanwhile.
    """
    if feed.kind == "series":
        msg = (
            f"feed {feed.name} is a series, whose observations depend on each other, and for which these tests do not "
            f"hold; look at its forecasts' errors: docs/series.md"
        )
        raise SettingsError(msg)
    paths = StreamPaths.of(feed, settings)
    paths.assert_reachable("--tables")
    tables = Tables(paths.tables, feed, settings.tables, settings.storage)
    if not tables.exists(tables.scored):
        msg = f"no table at {tables.uri(tables.scored)} yet; make it: streamscore run {feed.name}"
        raise StorageError(msg)
    try:
        return _find(tables, registry, asked)
    except (DeltaError, OSError) as error:
        raise unusable(paths.tables, "use", error) from error


def assert_no_alarm(found: DriftFound) -> None:
    """Refuse drift that alarms.

    Raises:
        ContractError: names the worst.
    """
    if not found.alarms:
        return
    worst = found.alarms[0]
    more = f" (and {len(found.alarms) - 1} more)" if len(found.alarms) > 1 else ""
    msg = (
        f"feed {found.feed} drifted: '{worst['column']}' by {worst['check']}, effect {worst['effect']:.2f}, "
        f"wanted below {worst['floor']:g}{more}; next: look at its rows, or streamscore train {found.feed} --if-drift"
    )
    raise ContractError(msg)


def _find(tables: Tables, registry: Registry | None, asked: Asked) -> DriftFound:
    length = asked.length.text
    # 1
    newest = newest_time(tables)
    since = _since(asked.since, newest or datetime.now(UTC))
    profiles, stored = read(tables, DRIFT_PROFILES, length, since - WEEK)
    known = windows_of(stored)
    # 2
    wanted = Wanted(asked.length, since, _ends(known), asked.slice_column)
    made = profile_windows(tables, wanted) if newest else []
    profiles.append([row for window in made for row in profile_rows(window, length)])
    windows = sorted([*known, *made], key=lambda window: (window.end, window.series))
    # 3
    verdicts, said = read(tables, DRIFT, length, since - WEEK)
    training = Training(registry) if registry else None
    rows = [drift_row(judged, length) for judged in judge(windows, said_before(said), training)]
    verdicts.append(rows)
    notes = tuple(training.notes) if training else ()
    told = _verdicts([w for w in windows if w.end >= since], [*said, *rows], asked.baseline, training)
    return DriftFound(tables.feed.name, length, told, windows, len(made), notes)


def _ends(windows: Sequence[Window]) -> dict[Series, tuple[datetime, datetime]]:
    """From and to when the windows of each series are known."""
    found: dict[Series, tuple[datetime, datetime]] = {}
    for window in windows:
        first, last = found.get(window.series, (window.start, window.end))
        found[window.series] = min(first, window.start), max(last, window.end)
    return found


def _verdicts(
    windows: Sequence[Window], rows: Sequence[dict[str, Any]], wanted: str, training: Training | None
) -> list[Verdict]:
    by_series: dict[Series, list[dict[str, Any]]] = {}
    for row in rows:
        series = Series(row["model_name"], row["model_version"], row["slice"] or "")
        by_series.setdefault(series, []).append(row)
    newest = {window.series: window for window in windows}
    told = []
    for series, window in newest.items():
        mine = by_series.get(series, [])
        every = [row for row in mine if row["window_end"] == window.end]
        there = {row["baseline"] for row in every}
        baseline = next((name for name in (wanted, "week") if name in there), "")
        decided = [row for row in every if row["baseline"] == baseline]
        history = [row for row in mine if row["baseline"] == baseline and row["check"]]
        before = baselines_of(window, [one for one in windows if one.end < window.end], training)
        told.append(Verdict(window, baseline, sorted(decided, key=_severity), history, before))
    return sorted(
        told, key=lambda verdict: (not verdict.alarms, -verdict.window.end.timestamp(), verdict.window.series)
    )


def _severity(row: dict[str, Any]) -> tuple[Any, ...]:
    worse = -(row["effect"] or 0) / (row["floor"] or 1)
    return not row["alarm"], not row["drifted"], row["check"] is None, worse, row["column"]


def _since(text: str | None, newest: datetime) -> datetime:
    """A time, or how long before the newest row.

    Raises:
        SettingsError: it is neither.
    """
    if text is None:
        return newest - SINCE
    try:
        if found := re.fullmatch(r"(\d{1,9})([mhd])", text):
            return max(OLDEST, newest - timedelta(**{UNITS[found[2]]: int(found[1])}))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        msg = f"--since {text}: wanted a time, as 2026-11-28 or 2026-11-28T09:00Z, or how long ago, as 90m, 24h or 7d"
        raise SettingsError(msg) from error
    return max(OLDEST, at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
