"""Whether data will do to train on: the feed's rules, and what only a look at all rows together shows."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from schemas.feed import Feed
from streamscore.statistics.drift import shift_of_profile, shift_of_rows
from streamscore.statistics.profiles import Profile
from training.data.split import FITTED, HELD_OUT, Split
from training.settings import Validation
from training.validation.findings import Finding, Findings, Level
from training.validation.values import value_findings

LEAK = 0.999  # correlation with the target, from which on a feature is taken for a copy of it


def validate(
    feed: Feed, split: Split, profiles: dict[str, Profile], before: Profile | None, settings: Validation
) -> Findings:
    """Everything that is wrong or odd, both parts of the data looked at; nothing is raised, see `assert_valid`.

    - values (error): each rule of the feed, see `training.validation.values`.
    - `constant` (error): one value in all fitted rows; of a feature that is not the only one, what the settings say.
    - `leak` (warning): a feature's correlation with a numeric target is above 0.999, or its text is the label.
    - `same_key` (warning): keys with rows in both parts, whose target is the same in all of their rows.
    - `skew`, `drift`: a feature's population stability index (`statistics.drift`), held-out against fitted rows and
      fitted rows against the Production model's: above the limit of the settings an error, above a third a warning.

    Args:
        profiles: of the parts, by `fitted` and `held_out`.
        before: of the rows that the Production model was fitted on; null: there is none.
    """
    values = [
        *value_findings(feed, split.fitted, FITTED),
        *value_findings(feed, split.held_out, HELD_OUT),
    ]
    mistyped = {finding.column for finding in values if finding.check in ("bad_type", "missing_column")}
    features = [column.name for column in feed.features if column.name not in mistyped]
    return Findings(
        (
            *values,
            *_constant(split, profiles[FITTED], settings.constant),
            *_leaks(split, features),
            *_same_keys(feed, split),
            *_skew(split, features, profiles[FITTED], settings.skew),
            *_drift(split, features, profiles[FITTED], before, settings.drift),
        )
    )


def _constant(split: Split, fitted: Profile, of_one: Level) -> Iterator[Finding]:
    target = str(split.fitted.target.name)
    constant = [column.name for column in fitted.columns if column.is_constant]
    of_features = [name for name in constant if name != target]
    level: Level = "error" if len(of_features) == split.fitted.features.shape[1] else of_one
    for name in of_features:
        value = split.fitted.features[name].iloc[0]
        yield Finding(level, "constant", name, FITTED, f"{value} in every row", "values that vary")
    if target in constant:
        value = split.fitted.target.iloc[0]
        yield Finding("error", "constant", target, FITTED, f"{value} in every row", "values that vary")


def _leaks(split: Split, features: list[str]) -> Iterator[Finding]:
    target = split.fitted.target
    for name in features:
        if found := _likeness(split.fitted.features[name], target):
            yield Finding("warning", "leak", name, FITTED, found, f"a feature that is known before '{target.name}'")


def _same_keys(feed: Feed, split: Split) -> Iterator[Finding]:
    """A label by key is that of all rows with the key, so whoever was fitted on one of them knows the others."""
    parts = (split.fitted, split.held_out)
    names = [c.name for c in feed.columns if c.role == "key" and all(c.name in part.others for part in parts)]
    if not names:
        return
    fitted, held_out = (
        part.target.groupby([part.others[name].astype(str) for name in names]).agg(["first", "nunique", "size"])
        for part in parts
    )
    both = fitted.join(held_out, rsuffix="_out", how="inner")
    is_one = (both["nunique"] == 1) & (both["nunique_out"] == 1) & (both["first"] == both["first_out"])
    if len(both) and is_one.all():
        rows = f"{len(both)} of {len(held_out)} keys, {int(both['size_out'].sum())} of {split.held_out.rows} rows"
        found = f"in both parts, with one target for each key: {rows} held out"
        yield Finding("warning", "same_key", ", ".join(names), HELD_OUT, found, "all rows of a key on one side")


def _likeness(feature: pd.Series, target: pd.Series) -> str:
    """Why the feature is taken for a copy of the target; empty: it is not."""
    if not pd.api.types.is_numeric_dtype(target):
        known = feature.notna() & target.notna()
        is_same = known.any() and bool((feature[known].astype(str) == target[known].astype(str)).all())
        return "the target itself" if is_same else ""
    x, y = pd.to_numeric(feature, errors="coerce").to_numpy("float64"), target.to_numpy("float64")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return ""
    correlation = float(np.corrcoef(x, y)[0, 1])
    return f"correlated with the target by {correlation:.4f}" if abs(correlation) > LEAK else ""


def _skew(split: Split, features: list[str], fitted: Profile, limit: float) -> Iterator[Finding]:
    for name in features:
        column = fitted.column(name)
        if column is None or column.kind == "time":
            continue
        index = shift_of_rows(split.fitted.features[name], split.held_out.features[name], column)
        yield from _shifted("skew", name, HELD_OUT, index, "in the fitted rows", limit)


def _drift(
    split: Split, features: list[str], fitted: Profile, before: Profile | None, limit: float
) -> Iterator[Finding]:
    for name in features if before else []:
        was, now = before.column(name) if before else None, fitted.column(name)
        if now is None or now.kind == "time":
            continue
        if was is None or was.kind != now.kind:
            found = f"{now.kind}, {f'{was.kind} before' if was else 'new'}"
            wanted = "the columns of the Production model's data"
            yield Finding("warning", "drift", name, FITTED, found, wanted)
            continue
        index = shift_of_profile(was, split.fitted.features[name])
        yield from _shifted("drift", name, FITTED, index, "in the Production model's data", limit)


def _shifted(check: str, name: str, split: str, index: float | None, than: str, limit: float) -> Iterator[Finding]:
    if index is None or index <= limit / 3:
        return
    found = f"not distributed as {than}: stability index {index:.2f}"
    if index > limit:
        yield Finding("error", check, name, split, found, f"at most {limit:g}")
    else:
        yield Finding("warning", check, name, split, found, f"at most {limit / 3:.3g}; an error above {limit:g}")
