"""The whole of `streamscore train`, with a real registry and the check in a process of its own."""

from pathlib import Path

import mlflow
import pytest
from rich.console import Console

from schemas.errors import FeedError, GateError, RegistryError, SettingsError
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from streamscore.statistics.sketches import STATISTICS_FILE, ModelStatistics
from tests.support.new_database import new_database
from tests.support.present import present
from tests.support.wine import WINE, needs_wine
from training.data.sample import sample
from training.pipeline import TrainResult, train
from training.rows import Source
from training.settings import Check, Estimator, Gate, TrainingSettings, load_training_settings
from training.show import show_training

pytestmark = pytest.mark.trains

FEED = load_feed("wine_quality")
# a predict beside other work on the machine took 1.7 s
SETTINGS = load_training_settings("wine_quality").model_copy(update={"check": Check(predict_ms=60_000)})
STRICT = SETTINGS.model_copy(update={"gate": Gate(absolute={"rmse": 0.01}, promote=True)})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    uri = new_database(tmp_path_factory.mktemp("pipeline"))
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


@pytest.fixture(scope="module")
def first(registry: Registry) -> TrainResult:
    """Version 1, the candidate, in Production."""
    made = train(FEED, Source(), registry, SETTINGS, promote=True)
    assert candidate(registry) == made.version  # here: later tests make other ones
    return made


def candidate(registry: Registry) -> str:
    return registry.resolve("models:/wine_quality@candidate").version


def test_what_passes_is_the_candidate_and_goes_into_production_if_asked(first: TrainResult, registry: Registry) -> None:
    assert (first.version, first.reasons, first.is_new) == ("1", (), True)
    assert first.promotion and first.promotion.version == "1"
    assert first.metrics["rmse"] < 0.85 * first.metrics["baseline_rmse"]


def test_a_run_says_what_it_was_made_of(first: TrainResult, registry: Registry) -> None:
    client = mlflow.MlflowClient(registry.tracking_uri, registry.registry_uri)
    run = client.get_run(first.run_id)
    assert run.data.params["estimator"] == "elastic_net" and run.data.params["alpha"] == "0.01"
    assert run.data.metrics == first.metrics
    contexts = {made.tags[0].value for made in present(run.inputs).dataset_inputs}
    assert contexts == {"training", "evaluation"}
    names = {file.path for file in client.list_artifacts(first.run_id)}
    assert names >= {"report.html", "profile.json", "findings.json", "evaluation.json", "gate.json", "residuals.svg"}
    tags = client.get_model_version("wine_quality", "1").tags
    assert tags["streamscore.data_source"] == "sample(feed=wine_quality, rows=5000, seed=0)"
    assert (tags["streamscore.gate"], tags["streamscore.check"]) == ("passed", "passed")
    statistics = ModelStatistics.from_json(present(registry.run_file(first.run_id, STATISTICS_FILE)), "v1")
    assert [c.name for c in statistics.features] == [c.table_name for c in FEED.features]
    assert {(c.rows, c.missing, len(c.quantiles)) for c in statistics.features} == {(4000, 0, 200)}
    assert [(c.name, c.rows) for c in statistics.predictions] == [("prediction", 1000)]
    report = Path(mlflow.artifacts.download_artifacts(f"runs:/{first.run_id}/report.html")).read_text()
    assert "passed the gate" in report and "<svg" in report and "http-equiv" not in report


def test_the_same_data_settings_and_code_register_nothing_new(first: TrainResult, registry: Registry) -> None:
    there = registry.versions("wine_quality")
    again = train(FEED, Source(), registry, SETTINGS, promote=True)
    assert (again.version, again.is_new, again.promotion, again.metrics) == ("1", False, None, first.metrics)
    assert registry.versions("wine_quality") == there


def test_what_the_gate_refuses_is_registered_with_the_reasons_and_production_stays(
    first: TrainResult, registry: Registry
) -> None:
    before = candidate(registry)
    refused = train(FEED, Source(), registry, STRICT, promote=True)
    assert refused.promotion is None and "wanted at most 0.01" in refused.reasons[0]
    assert registry.in_production("wine_quality") == first.version
    assert candidate(registry) == before
    rejected = registry.versions_tagged("wine_quality", "streamscore.gate", "rejected")
    assert refused.version in [version.version for version in rejected]
    with pytest.raises(GateError, match=r"is rejected: rmse is .* report\.html of run"):
        show_training("wine_quality", refused, Console(quiet=True))
    again = train(FEED, Source(), registry, STRICT)
    assert (again.version, again.reasons, again.is_new) == (refused.version, refused.reasons, False)


def test_what_fails_the_check_is_no_candidate(first: TrainResult, registry: Registry) -> None:
    slow = SETTINGS.model_copy(update={"check": Check(predict_ms=1e-6)})
    before = candidate(registry)
    refused = train(FEED, Source(), registry, slow, promote=True)
    assert "its example takes" in refused.reasons[0] and refused.promotion is None
    assert candidate(registry) == before


def test_a_worse_model_than_production_is_refused_on_the_same_rows(first: TrainResult, registry: Registry) -> None:
    worse = SETTINGS.model_copy(update={"estimator": Estimator(parameters={"alpha": 0.5})})
    refused = train(FEED, Source(), registry, worse)
    assert any("Production has" in reason for reason in refused.reasons)


def test_data_that_did_not_drift_are_left_alone_on_demand_and_drift_is_a_reason_to_train(
    first: TrainResult, registry: Registry, tmp_path: Path
) -> None:
    alike = sample(FEED, rows=2000, files=1, out=tmp_path / "alike", seed=3).paths[0]
    assert train(FEED, Source(alike), registry, SETTINGS, only_if_drift=True).version == ""
    header, *lines = alike.read_text().splitlines()
    at = header.split(",").index("alcohol")
    moved = [
        [*cells[:at], "14.0", *cells[at + 1 :]] for cells in (line.split(",") for line in lines[: len(lines) // 2])
    ]
    drifted = tmp_path / "drifted.csv"
    drifted.write_text("\n".join([header, *(",".join(cells) for cells in moved), *lines[len(lines) // 2 :]]) + "\n")
    with pytest.raises(FeedError, match="'alcohol' is not distributed as in the Production model's data"):
        train(FEED, Source(drifted), registry, SETTINGS)
    assert train(FEED, Source(drifted), registry, SETTINGS, only_if_drift=True).is_new


def test_with_the_registry_down_nothing_is_read_or_fitted(tmp_path: Path) -> None:
    down = open_registry(load_settings(flags={"registry.tracking_uri": "sqlite:////no/such/folder/x.db"}))
    with pytest.raises(RegistryError):
        train(FEED, Source(tmp_path / "not even there.csv"), down, SETTINGS)


def test_a_feed_that_follows_a_run_cannot_be_trained(registry: Registry) -> None:
    with pytest.raises(FeedError, match="write model: models:/NAME@production"):
        train(FEED.model_copy(update={"model": "runs:/1/model"}), Source(), registry, SETTINGS)


def test_a_series_has_no_drift(registry: Registry) -> None:
    with pytest.raises(SettingsError, match="--if-drift"):
        train(load_feed("macrodata"), Source(), registry, TrainingSettings(), only_if_drift=True)


@needs_wine
def test_real_wine_is_predicted_better_than_by_its_mean(tmp_path: Path) -> None:
    alone = open_registry(load_settings(flags={"registry.tracking_uri": new_database(tmp_path)}))
    result = train(FEED, Source(WINE), alone, SETTINGS, only_if_drift=True)
    assert result.origin.data_rows == 4898
    assert result.metrics["rmse"] == pytest.approx(0.747, abs=0.002)
    assert result.metrics["baseline_rmse"] == pytest.approx(0.883, abs=0.002)


def test_what_was_taken_back_stays_so(registry: Registry) -> None:
    feed = load_feed("wine_quality_text")
    settings = [SETTINGS.model_copy(update={"estimator": Estimator(parameters={"alpha": a})}) for a in (0.02, 0.01)]
    older, newer = (train(feed, Source(), registry, each, promote=True) for each in settings)
    assert registry.in_production(feed.name) == newer.version
    registry.rollback(feed.name, feed)
    again = train(feed, Source(), registry, settings[1], promote=True)
    assert (again.version, again.promotion) == (newer.version, None)
    assert registry.in_production(feed.name) == older.version
