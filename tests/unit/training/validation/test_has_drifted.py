from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.columns import Column
from schemas.feed import Feed
from streamscore.statistics.profiles import Profile
from streamscore.statistics.sketches import ModelStatistics
from training.data.training_data import Data
from training.evaluation.production import Production
from training.validation.findings import Finding, Findings
from training.validation.has_drifted import feature_sketches, has_drifted

FEED = Feed(
    name="shop",
    columns=(
        Column(name="Size m2", type="double"),
        Column(name="shop", type="string"),
        Column(name="price", type="double", role="target"),
    ),
)
NOTHING = Findings(())
DRIFT = Findings((Finding("warning", "drift", "shop", "fitted", "not distributed", "at most 0.25"),))


def data(rows: int = 400, move: float = 0.0, seed: int = 0, **more: Any) -> Data:
    random = np.random.default_rng(seed)
    columns = {"Size m2": random.normal(move, size=rows), "shop": random.choice(["a", "b"], rows)}
    features = pd.DataFrame(columns | more)
    return Data(features, pd.Series(np.arange(rows), name="price"), pd.DataFrame(), "", "a.csv")


def production(trained: Data | None, profile: Profile | None = None) -> Production:
    statistics = ModelStatistics(feature_sketches(FEED, trained), ()) if trained else None
    ref: Any = SimpleNamespace(title="shop v1")
    return Production(ref, None, profile, statistics)  # type: ignore[arg-type]  # it is not asked


def test_features_have_the_names_of_the_tables() -> None:
    assert [of.name for of in feature_sketches(FEED, data())] == ["size_m2", "shop"]


@pytest.mark.parametrize(("move", "drifted"), [(0.0, False), (0.5, True)])
def test_quantiles_decide_and_findings_by_bins_do_not(move: float, drifted: bool) -> None:
    before = production(data(4000), Profile(4000, ()))
    assert has_drifted(FEED, before, data(move=move, seed=1), DRIFT) == drifted
    assert has_drifted(FEED, before, data(move=move, seed=1), NOTHING) == drifted


def test_a_column_of_another_kind_is_drift() -> None:
    other = data(seed=1, shop=np.arange(400.0))
    assert has_drifted(FEED, production(data(4000)), other, NOTHING)


def test_a_column_without_values_before_is_none() -> None:
    empty = data(4000, shop=pd.Series([None] * 4000, dtype=object))
    assert not has_drifted(FEED, production(empty), data(seed=1, shop=pd.Series([None] * 400, dtype=object)), NOTHING)


def test_a_version_without_quantiles_is_compared_by_its_bins_and_without_both_by_nothing() -> None:
    bins = production(None, Profile(4000, ()))
    assert has_drifted(FEED, bins, data(), DRIFT) and not has_drifted(FEED, bins, data(move=9.0), NOTHING)
    assert has_drifted(FEED, production(None), data(), NOTHING)
