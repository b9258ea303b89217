"""What a window is held against: what its version learned, the week before, the version before."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from jobs.monitoring.drift.profiles import Series, Window
from schemas.errors import ContractError, RegistryError
from streamscore.registry.registry import Registry
from streamscore.statistics.sketches import STATISTICS_FILE, ColumnSketch, ModelStatistics, merge
from streamscore.statistics.verdict import Rejected

Name = Literal["training", "week", "version"]

WEEK = timedelta(days=7)
MOST_WINDOWS = 24  # of a week that are merged, evenly spread over it: bounds the time for a year of short windows


@dataclass(frozen=True, slots=True)
class Baseline:
    """The sketches of some rows.

    Attributes:
        rejected: None: nothing is known of rejects.
        new_version: rows of another version are in it.
    """

    features: tuple[ColumnSketch, ...]
    predictions: tuple[ColumnSketch, ...]
    rejected: Rejected | None = None
    new_version: bool = False


class Training:
    """The statistics that training wrote, of each version asked for once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], Baseline | None] = {}
        self.notes: list[str] = []

    def of(self, window: Window) -> Baseline | None:
        """Of the window's version; None if it has none, or the registry does not answer, which `notes` then says."""
        series = window.series
        version = series.model_name, series.model_version
        if version not in self._known:
            self._known[version] = self._read(series, window.run_id)
        return None if series.slice else self._known[version]

    def _read(self, series: Series, run_id: str) -> Baseline | None:
        title = f"{series.model_name} v{series.model_version}"
        try:
            text = self._registry.run_file(run_id, STATISTICS_FILE) if run_id else None
        except RegistryError as error:  # of one version, perhaps: its run was deleted
            self.notes.append(f"{title} is compared with the week before: {error}")
            return None
        if text is None:
            self.notes.append(
                f"{title} has no {STATISTICS_FILE}: no quantiles with this version, at most the bins of its "
                f"profile.json; it is compared with the week before. Train it anew for the baseline training"
            )
            return None
        try:
            found = ModelStatistics.from_json(text, title)
        except ContractError as error:
            self.notes.append(str(error))
            return None
        return Baseline(found.features, found.predictions)


def week_before(window: Window, earlier: Sequence[Window]) -> Baseline | None:
    """The windows of the 7 days before, of the same slice and whatever version; None if there are none.

    Args:
        earlier: the windows before it, oldest first.
    """
    there = [one for one in earlier if _is_before(one, window) and one.end >= window.start - WEEK]
    return _merged(window, there)


def version_before(window: Window, earlier: Sequence[Window]) -> Baseline | None:
    """The last week of the version that scored before; None if there is none."""
    others = [one for one in earlier if _is_before(one, window) and one.series != window.series]
    if not others:
        return None
    last = others[-1]
    return _merged(window, [one for one in others if one.series == last.series and one.end >= last.end - WEEK])


BEFORE: dict[Name, Callable[[Window, Sequence[Window]], Baseline | None]] = {
    "week": week_before,
    "version": version_before,
}


def baselines_of(window: Window, earlier: Sequence[Window], training: Training | None) -> dict[str, Baseline]:
    """All that there are for a window, by name.

    Args:
        earlier: the windows before it, oldest first.
        training: None: this baseline is not asked for.
    """
    found: dict[str, Baseline | None] = {"training": training.of(window) if training else None}
    found |= {name: of(window, earlier) for name, of in BEFORE.items()}
    return {name: baseline for name, baseline in found.items() if baseline}


def _is_before(one: Window, window: Window) -> bool:
    return one.end < window.start and one.series.slice == window.series.slice


def _merged(window: Window, parts: Sequence[Window]) -> Baseline | None:
    if not parts:
        return None
    some = (
        [parts[at * len(parts) // MOST_WINDOWS] for at in range(MOST_WINDOWS)] if len(parts) > MOST_WINDOWS else parts
    )
    return Baseline(
        tuple(_by_name([one.features for one in some])),
        tuple(_by_name([one.predictions for one in some])),
        Rejected(sum(one.rejected.rows for one in some), sum(one.rejected.rejected for one in some)),
        any(one.series != window.series for one in some),
    )


def _by_name(parts: Sequence[Sequence[ColumnSketch]]) -> Iterator[ColumnSketch]:
    """Columns merged by name; of one that was of another kind once, only those of the newest kind."""
    columns: dict[str, list[ColumnSketch]] = {}
    for part in parts:
        for column in part:
            columns.setdefault(column.name, []).append(column)
    for same in columns.values():
        yield merge([one for one in same if one.kind == same[-1].kind])
