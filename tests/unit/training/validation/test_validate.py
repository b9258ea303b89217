import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import FeedError
from schemas.feed import Feed
from streamscore.statistics.drift import shift_of_profile, shift_of_rows, stability_index
from streamscore.statistics.profiles import Profile, profile
from tests.support.present import present
from training.data.split import split
from training.data.training_data import Data
from training.settings import Splitting, Validation
from training.validation.findings import Finding, Findings, assert_valid
from training.validation.validate import validate

FEED = Feed.model_validate(
    {
        "name": "homes",
        "columns": [
            {"name": "size", "type": "double", "min": 0, "max": 10},
            {"name": "rooms", "type": "int", "nullable": True},
            {"name": "kind", "type": "string", "allowed": ["flat", "house"]},
            {"name": "lift", "type": "boolean"},
            {"name": "id", "type": "long", "role": "key"},
            {"name": "price", "type": "double", "role": "target"},
        ],
    }
)
ROWS = 400


def homes(**changed: Any) -> Data:
    random = np.random.default_rng(0)
    columns = {
        "size": random.uniform(0, 10, ROWS),
        "rooms": np.where(np.arange(ROWS) % 9 == 0, np.nan, np.arange(ROWS) % 4),
        "kind": random.choice(["flat", "house"], ROWS),
        "lift": np.arange(ROWS) % 3 == 0,
        "id": np.arange(ROWS),
        "price": random.normal(size=ROWS),
    }
    for name, change in changed.items():
        columns[name] = change(columns[name].copy())
    frame = pd.DataFrame(
        {name: pd.Series(values, dtype=object if name == "kind" else None) for name, values in columns.items()}
    )
    return Data(frame[["size", "rooms", "kind", "lift"]], frame["price"], frame[["id"]], "00", "homes.csv")


def found_in(data: Data, before: Profile | None = None, feed: Feed = FEED, **limits: Any) -> Findings:
    parts = split(data, Splitting(), feed)
    profiles = {"fitted": profile(parts.fitted.columns()), "held_out": profile(parts.held_out.columns())}
    return validate(feed, parts, profiles, before, Validation(**limits))


def with_value(at: int, value: Any) -> Any:
    def change(values: Any) -> Any:
        values = values.astype(object) if isinstance(value, str | type(None)) else values.astype("float64")
        values[at] = value
        return values

    return change


def test_good_data_are_found_to_be_good() -> None:
    assert found_in(homes(), before=profile(homes().columns())).items == ()


@pytest.mark.parametrize(
    ("column", "value", "check", "found", "wanted"),
    [
        ("size", -1.0, "out_of_range", "below 0", "at least 0"),
        ("size", 11.0, "out_of_range", "above 10", "at most 10"),
        ("size", np.nan, "null_not_allowed", "null or NaN", "a value"),
        ("rooms", np.inf, "not_finite", "infinite", "a finite number"),
        ("kind", "tent", "not_allowed", "not an allowed value", "one of flat, house"),
        ("kind", None, "null_not_allowed", "null", "a value"),
        ("lift", None, "null_not_allowed", "null", "a value"),
        ("price", np.nan, "null_not_allowed", "null or NaN", "a value"),
        ("price", -np.inf, "not_finite", "infinite", "a finite number"),
    ],
)
def test_a_value_that_the_feed_refuses_is_an_error_with_its_row(
    column: str, value: Any, check: str, found: str, wanted: str
) -> None:
    data = homes(**{column: with_value(7, value)})
    (finding,) = found_in(data, skew=100).errors
    rows = 320 if finding.split == "fitted" else 80
    said = f"{found} in 1 of {rows} rows, first in data row 8 ({value})"
    assert finding == Finding("error", check, column, finding.split, said, wanted)


def test_every_broken_rule_is_found_not_only_the_first() -> None:
    def many(values: Any) -> Any:
        values[[1, 5, 9]] = [-5, 50, 60]
        return values

    findings = found_in(homes(size=many, kind=with_value(3, "tent"), price=with_value(4, np.nan)), skew=100)
    assert {(f.check, f.column) for f in findings.errors} == {
        ("out_of_range", "size"),
        ("not_allowed", "kind"),
        ("null_not_allowed", "price"),
    }
    with pytest.raises(
        FeedError, match=r"homes\.csv: 'size' is below 0 in 1 of .*wanted at least 0; \d errors in all"
    ) as caught:
        assert_valid(findings, "homes.csv")
    first, *all_of_them = str(caught.value).splitlines()
    assert first.endswith("widen the column in the feed's file") and len(all_of_them) == len(findings.items)
    assert caught.value.exit_code == 2


def test_a_column_of_another_type_is_one_error() -> None:
    findings = found_in(homes(size=lambda values: np.array(["a", "b"] * (ROWS // 2), dtype=object)))
    assert [(f.check, f.column, f.found) for f in findings.errors] == [
        ("bad_type", "size", "string in pandas"),
        ("bad_type", "size", "string in pandas"),
    ]


def test_a_feature_that_is_not_there_is_an_error() -> None:
    data = homes()
    findings = found_in(replace(data, features=data.features.drop(columns="rooms")))
    assert {(f.check, f.column) for f in findings.errors} == {("missing_column", "rooms")}


def same(values: Any) -> Any:
    return np.array([values[1]] * ROWS)


@pytest.mark.parametrize(("given", "level"), [({}, "error"), ({"constant": "warning"}, "warning")])
def test_a_constant_feature_is_what_the_settings_say(given: dict[Any, Any] | dict[str, str], level: str) -> None:
    (finding,) = found_in(homes(lift=same), **given).items
    assert (finding.level, finding.check, finding.column) == (level, "constant", "lift")


def test_data_of_which_all_features_are_constant_are_refused_whatever_the_settings_say() -> None:
    findings = found_in(homes(size=same, rooms=same, kind=same, lift=same), constant="warning")
    assert [f.column for f in findings.errors] == ["size", "rooms", "kind", "lift"]
    with pytest.raises(FeedError, match=r"'size' is .* in every row .* give data in which it varies"):
        assert_valid(findings, "homes.csv")


def test_a_target_that_is_constant_in_the_fitted_rows_is_an_error() -> None:
    (finding,) = found_in(homes(price=same)).errors
    assert (finding.check, finding.column) == ("constant", "price")


def test_a_feature_that_is_the_target_is_a_warning() -> None:
    data = homes()
    leaking = replace(data, target=pd.Series(30 - 2 * data.features["size"], name="price"))
    (finding,) = found_in(leaking).items
    assert (finding.level, finding.check, finding.column) == ("warning", "leak", "size")
    assert "correlated with the target by -1.0000" in finding.found


@pytest.mark.parametrize("column", ["kind", "lift"])
def test_a_feature_that_is_the_label_is_a_warning(column: str) -> None:
    data = homes()
    feed = FEED.model_copy(
        update={
            "columns": tuple(
                c.model_copy(update={"type": "string" if column == "kind" else "boolean"}) if c.role == "target" else c
                for c in FEED.columns
            )
        }
    )
    (finding,) = found_in(replace(data, target=data.features[column].rename("price")), feed=feed).items
    assert (finding.check, finding.column) == ("leak", column)


def moved(by: float) -> Any:
    def change(values: Any) -> Any:
        values[ROWS // 2 :] = np.clip(values[ROWS // 2 :] + by, 0, 10)
        return values

    return change


@pytest.mark.parametrize(("by", "level"), [(0.0, None), (0.6, "warning"), (8.0, "error")])
def test_held_out_rows_unlike_the_fitted_ones_are_found(by: float, level: str | None) -> None:
    """The id counts the rows, and by it as a time the second half is held out."""
    parts = split(homes(size=moved(by)), Splitting(by="time", column="id", held_out=0.5), FEED)
    profiles = {"fitted": profile(parts.fitted.columns()), "held_out": profile(parts.held_out.columns())}
    found = [f for f in validate(FEED, parts, profiles, None, Validation()).items if f.column == "size"]
    assert [(f.level, f.check, f.split) for f in found] == ([(level, "skew", "held_out")] if level else [])


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({"size": lambda values: values / 10}, "error"),
        ({"size": lambda values: np.where(np.arange(ROWS) % 3 == 0, 9.9, values)}, "warning"),
        ({"rooms": lambda values: np.where(np.arange(ROWS) % 2, np.nan, values)}, "error"),
        ({"lift": lambda values: np.arange(ROWS) % 20 > 0}, "error"),
        ({"kind": lambda values: np.where(np.arange(ROWS) % 6 == 0, "house", "flat")}, "warning"),
    ],
)
def test_data_unlike_those_of_the_production_model_are_found(
    changed: dict[str, Callable[..., Any]], level: str
) -> None:
    (column,) = changed
    found = found_in(homes(**changed), before=profile(homes().columns())).items
    assert [(f.level, f.check, f.column) for f in found] == [(level, "drift", column)]


def test_a_feature_that_the_production_model_did_not_know_is_a_warning() -> None:
    before = profile(homes().columns())
    before = replace(before, columns=tuple(c for c in before.columns if c.name != "rooms"))
    (finding,) = found_in(homes(), before=before).items
    assert (finding.level, finding.check, finding.column, finding.found) == ("warning", "drift", "rooms", "number, new")


def test_too_few_rows_say_nothing_of_distributions() -> None:
    data = homes(size=moved(8.0))
    few = Data(data.features.head(40), data.target.head(40), data.others.head(40), "00", "homes.csv")
    assert found_in(few, before=profile(few.columns())).items == ()


def test_findings_survive_as_json() -> None:
    findings = found_in(homes(lift=same, size=with_value(7, -1.0)), skew=100, constant="warning")
    read = json.loads(findings.to_json())
    assert Findings(tuple(Finding(**finding) for finding in read)) == findings
    assert (len(findings.errors), len(findings.warnings)) == (1, 1)
    assert_valid(Findings(findings.warnings), "homes.csv")


# The stability index

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(sum).map(np.array)


def test_the_stability_index_is_that_of_the_formula() -> None:
    shares, now = np.array([0.25, 0.25, 0.5]), np.array([0.5, 0.25, 0.25])
    wanted = 0.25 * np.log(2) - 0.25 * np.log(0.5)
    assert stability_index(shares * 400, now * 80) == pytest.approx(wanted)


@settings(deadline=None)
@given(COUNTS, st.integers(1, 50))
def test_the_stability_index_of_equal_shares_is_zero(counts: Any, times: Any) -> None:
    counts = counts + 1
    assert stability_index(counts, counts * times) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(COUNTS, st.randoms(use_true_random=False))
def test_the_stability_index_of_other_shares_is_more(counts: Any, random: Any) -> None:
    other = counts.copy()
    random.shuffle(other)
    index = stability_index(counts, other)
    assert np.isfinite(index)
    assert (index > 0) == (np.maximum(counts, 0.5) != np.maximum(other, 0.5)).any()
    assert index == pytest.approx(stability_index(other, counts))


def shifts(before: pd.Series, now: pd.Series) -> list[float]:
    """How far `now` has moved: by the rows before it, and by their statistics."""
    data = Data(before.to_frame(), before.rename("y"), pd.DataFrame(), "", "")
    statistics = present(profile(data.columns()).column("x"))
    return [present(shift_of_rows(before, now, statistics)), present(shift_of_profile(statistics, now))]


@pytest.mark.parametrize("kind", ["normal", "lognormal", "few", "constant", "words", "nulls"])
def test_rows_of_one_distribution_have_not_moved(kind: str) -> None:
    random = np.random.default_rng(1)
    makers: dict[str, Callable[[int], Any]] = {
        "normal": lambda n: random.normal(size=n),
        "lognormal": lambda n: random.lognormal(sigma=2, size=n),
        "few": lambda n: random.integers(0, 3, n).astype(float),
        "constant": lambda n: np.full(n, 4.0),
        "words": lambda n: random.choice([f"w{i}" for i in range(60)], n),
        "nulls": lambda n: np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)),
    }
    before, now = (pd.Series(makers[kind](n), name="x") for n in (2000, 500))
    assert all(shift < 0.06 for shift in shifts(before, now))


def test_a_constant_that_changes_has_moved() -> None:
    before, now = pd.Series([4.0] * 100, name="x"), pd.Series([5.0] * 100)
    assert all(shift > 5 for shift in shifts(before, now))


def test_keys_on_both_sides_with_one_label_each_are_a_warning() -> None:
    """As late labels by key make them: the label of a key is that of all rows with it."""
    by_key = homes(id=lambda ids: ids // 4, price=lambda prices: np.repeat(prices[::4], 4))
    (found,) = found_in(by_key).of("same_key")
    assert (found.level, found.column, found.split) == ("warning", "id", "held_out")
    assert found.found.startswith("in both parts, with one target for each key: ")
    assert not found_in(homes()).of("same_key")
    assert not found_in(homes(id=lambda ids: ids // 4)).of("same_key")  # each row has a label of its own
    parts = split(by_key, Splitting(by="key"), FEED)
    profiles = {"fitted": profile(parts.fitted.columns()), "held_out": profile(parts.held_out.columns())}
    assert not validate(FEED, parts, profiles, None, Validation()).of("same_key")


def test_a_warning_says_its_own_limit() -> None:
    turned = homes(size=lambda sizes: np.where(np.arange(ROWS) % 2, sizes, sizes**2 / 10))
    before = profile(homes().columns())
    (error,) = [one for one in found_in(turned, before, drift=1e-3).of("drift") if one.column == "size"]
    limit = round(2 * float(error.found.rpartition(" ")[2]), 3)  # the index is half of it, so above a third
    (warned,) = [one for one in found_in(turned, before, drift=limit).of("drift") if one.column == "size"]
    assert (error.level, error.wanted) == ("error", "at most 0.001")
    assert (warned.level, warned.wanted) == ("warning", f"at most {limit / 3:.3g}; an error above {limit:g}")
