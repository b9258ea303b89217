"""The verdict of each window beside each baseline, and alarms."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.monitoring.drift.baselines import BEFORE, Baseline, Training, baselines_of
from jobs.monitoring.drift.profiles import Series, Window
from jobs.monitoring.drift.tables import Judged
from streamscore.statistics.verdict import OF_WINDOWS, Compared, cause, compare, is_alarm

Key = tuple[Series, str, Any]  # series, baseline and end of a window
Said = frozenset[tuple[str, str]]  # the column and check of each test that said drift


def said_before(rows: Sequence[Mapping[str, Any]]) -> dict[Key, Said]:
    """What rows of `drift` say of each window beside each baseline."""
    found: dict[Key, set[tuple[str, str]]] = {}
    for row in rows:
        series = Series(row["model_name"], row["model_version"], row["slice"] or "")
        of_window = found.setdefault((series, row["baseline"], row["window_end"]), set())
        if row["drifted"]:
            of_window.add((row["column"], row["check"]))
    return {key: frozenset(said) for key, said in found.items()}


def judge(windows: Sequence[Window], said: Mapping[Key, Said], training: Training | None) -> Iterator[Judged]:
    """The verdicts that are not said yet, oldest window first.

    Args:
        windows: all that are known, oldest first.
        said: of earlier runs.
        training: None: this baseline is not asked for.
    """
    every = dict(said)
    for at, window in enumerate(windows):
        wanted = [name for name in ("training", *BEFORE) if (window.series, name, window.end) not in every]
        if not _has_more_to_say(window, wanted, training):
            continue
        earlier = windows[:at]
        baselines = baselines_of(window, earlier, training)
        compared = {name: _compared(window, of, baselines) for name, of in baselines.items()}
        for name in wanted:
            if name in compared:
                key = window.series, name, window.end
                every[key] = frozenset((test.column, test.check) for test in compared[name].drifted)
                yield from _rows(window, name, compared, baselines, _history(every, window, name, earlier))


def _has_more_to_say(window: Window, wanted: Sequence[str], training: Training | None) -> bool:
    """Whether nothing was said of a window yet, or training can be asked that was not."""
    if len(wanted) > len(BEFORE):
        return True
    return "training" in wanted and training is not None and training.of(window) is not None


def _compared(window: Window, baseline: Baseline, baselines: Mapping[str, Baseline]) -> Compared:
    """Training knows nothing of rejects: they are held against the week before."""
    rejected = baseline.rejected or (baselines["week"].rejected if "week" in baselines else None)
    before = [*baseline.features, *baseline.predictions]
    return compare(before, [*window.features, *window.predictions], rejected, window.rejected)


def _history(every: Mapping[Key, Said], window: Window, name: str, earlier: Sequence[Window]) -> list[Said]:
    """What the last windows of the series said, this one included."""
    mine = [one for one in earlier if one.series == window.series][-OF_WINDOWS + 1 :]
    return [every.get((one.series, name, one.end), frozenset()) for one in [*mine, window]]


def _rows(
    window: Window,
    name: str,
    compared: Mapping[str, Compared],
    baselines: Mapping[str, Baseline],
    history: Sequence[Said],
) -> Iterator[Judged]:
    why = _cause(window, name, compared, baselines)
    for test in compared[name].tests:
        alarm = is_alarm([(test.column, test.check) in said for said in history])
        yield Judged(window, name, test.column, test, alarm, why if test.drifted else "")
    for column, note in {**compared[name].changed, **compared[name].untested}.items():
        yield Judged(window, name, column, None, note=note)


def _cause(window: Window, name: str, compared: Mapping[str, Compared], baselines: Mapping[str, Baseline]) -> str:
    """By the rows that were before: those of the version before where that is the baseline, else of the week."""
    rows_before = "version" if name == "version" else "week"
    if rows_before not in compared:
        return cause(features_moved=None, new_version=False)
    features = {column.name for column in window.features}
    moved = any(test.column in features for test in compared[rows_before].drifted)
    return cause(features_moved=moved, new_version=baselines[rows_before].new_version)
