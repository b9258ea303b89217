import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from schemas.feed import Feed
from streamscore.registry import provenance
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import CANDIDATE, Registry
from tests.support.present import present
from tests.support.register_kit import REJECTED, a_candidate
from training.registration.check import CheckReport
from training.registration.register import accept, find_same, origin_of, refuse, register
from training.settings import TrainingSettings

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def client(homes_registry: Registry) -> Any:
    return mlflow.MlflowClient(homes_registry.tracking_uri)


@pytest.fixture
def again(homes: Feed, homes_registry: Registry) -> Callable[..., Any]:
    """Registers the files of version 1 once more, with the tags that training would give them."""
    first = homes_registry.resolve("models:/homes/1")

    def make(key: Any, **tags: Any) -> ModelVersion:
        given = {provenance.KEY: key} | {f"streamscore.{name}": value for name, value in tags.items()}
        source = first.source.removeprefix("models:/")
        return ModelVersion("homes", homes_registry.add_version("homes", source, first.run_id, given), first.run_id)

    return make


def test_a_version_says_what_it_was_made_of(homes: Feed, homes_registry: Registry) -> None:
    tags = homes_registry.resolve("models:/homes/1").tags
    made = a_candidate(homes).origin
    assert {name: tags[name] for name in made.to_tags()} == made.to_tags()
    assert tags[provenance.FEED] == "homes"
    assert (tags[provenance.DATA_SOURCE], tags[provenance.DATA_DIGEST], tags[provenance.DATA_ROWS]) == (
        "homes.csv",
        "d" * 64,
        "20",
    )
    assert tags[provenance.FEED_DIGEST] == provenance.feed_digest(homes)
    assert tags[provenance.GATE] == "passed"
    split = json.loads(tags[provenance.SPLIT])
    assert (split["by"], split["held_out"], split["seed"]) == ("ratio", 0.2, 0)
    assert split["training"] == {"rows": 16, "digest": "a" * 64}
    assert split["evaluation"] == {"rows": 4, "digest": "b" * 64}


def test_a_run_has_its_data_sets_parameters_metrics_and_artifacts(homes_registry: Registry, client: Any) -> None:
    run_id = homes_registry.resolve("models:/homes/1").run_id
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.params, run.data.metrics) == ({"alpha": "0.5"}, {"rmse": 0.1})
    contexts = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    assert {name: data.digest for name, data in contexts.items()} == {"training": "a" * 36, "evaluation": "b" * 36}
    assert "homes.csv" in contexts["training"].source
    assert homes_registry.run_file(run_id, "profile.json") == '{"rows": 20}'
    assert json.loads(present(homes_registry.run_file(run_id, "gate.json")))["passed"] is True
    assert homes_registry.run_file(run_id, "nothing.json") is None


def test_a_version_that_was_just_registered_has_no_alias(homes_registry: Registry) -> None:
    assert not any(CANDIDATE in v.aliases for v in homes_registry.versions("homes") if v.version == "1")


def test_a_run_that_fails_half_way_is_marked_and_registers_nothing(
    homes: Feed, homes_registry: Registry, client: Any
) -> None:
    def fail(_: Any) -> None:
        msg = "the disk is full"
        raise OSError(msg)

    before = homes_registry.versions("homes")
    with pytest.raises(Exception, match="the disk is full"):
        register(homes, a_candidate(homes, log=fail), homes_registry)
    assert homes_registry.versions("homes") == before
    experiment = homes_registry.experiment("homes")
    (last,) = client.search_runs([experiment], max_results=1)
    assert last.info.status == "FAILED"


def test_a_rejected_version_is_registered_with_the_reasons(homes: Feed, homes_registry: Registry) -> None:
    now = homes_registry.in_production("homes") or ""
    made = register(homes, a_candidate(homes, REJECTED), homes_registry, now)
    ref = homes_registry.resolve(f"models:/homes/{made.version}")
    assert ref.tags[provenance.GATE] == "rejected"
    assert ref.tags[provenance.GATE_REASONS] == "rmse is 0.3, wanted at most 0.2"
    assert ref.has_manifest
    same = present(find_same(homes_registry, "homes", ref.tags[provenance.KEY]))
    assert same.version == made.version


def test_an_accepted_version_is_the_candidate_and_is_found_again(
    homes_registry: Registry, again: Callable[..., Any]
) -> None:
    made = again("k1", gate="passed", gate_against=homes_registry.in_production("homes") or "")
    assert find_same(homes_registry, "homes", "k1") is None  # not checked yet: the run was cut off
    accept(homes_registry, made)
    assert homes_registry.resolve("models:/homes@candidate").version == made.version
    assert present(find_same(homes_registry, "homes", "k1")).version == made.version


def test_what_was_held_against_another_version_than_is_in_production_now_is_judged_anew(
    homes_registry: Registry, again: Callable[..., Any]
) -> None:
    again("k3", gate="rejected", gate_against="999")
    assert find_same(homes_registry, "homes", "k3") is None


def test_a_version_that_failed_the_check_is_no_candidate_and_may_be_tried_again(
    homes_registry: Registry, again: Callable[..., Any]
) -> None:
    made = again("k2", gate="passed")
    refuse(homes_registry, made, CheckReport(("it takes 9 GB", "it is slow")))
    version = next(v for v in homes_registry.versions("homes") if v.version == made.version)
    assert version.tags[provenance.CHECK] == "failed"
    assert version.tags[provenance.CHECK_REASONS] == "it takes 9 GB\nit is slow"
    assert version.aliases == ()
    assert find_same(homes_registry, "homes", "k2") is None


def test_nothing_is_the_same_in_a_registry_without_the_model(homes_registry: Registry) -> None:
    assert find_same(homes_registry, "nope", "k1") is None


def test_the_key_changes_with_data_feed_settings_and_code_and_not_with_the_place(homes: Feed) -> None:
    settings = TrainingSettings()
    made = origin_of(homes, "a.csv", "d1", 20, settings)
    assert made.key == origin_of(homes, "elsewhere/b.csv", "d1", 20, settings).key
    assert made.key == replace(made, code_version="another commit, the same code").key
    wider = homes.model_copy(update={"model": "models:/other@production"})
    slower = TrainingSettings.model_validate({"estimator": {"parameters": {"alpha": 0.1}}})
    others = [
        origin_of(homes, "a.csv", "d2", 20, settings),
        origin_of(wider, "a.csv", "d1", 20, settings),
        origin_of(homes, "a.csv", "d1", 20, slower),
        replace(made, code_digest="other"),
    ]
    assert len({made.key, *(other.key for other in others)}) == 5


def test_a_default_that_is_written_out_leaves_the_feeds_digest_as_it_is(homes: Feed) -> None:
    written = homes.model_copy(update={"kind": "rows", "model": ""})
    assert provenance.feed_digest(written) == provenance.feed_digest(homes)
    assert len(provenance.feed_digest(homes)) == 64


def test_the_code_version_names_the_package_and_in_a_checkout_the_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import subprocess
    from importlib.metadata import version

    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.code_version() == version("streamscore")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.py").write_text("a = 1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    clean = provenance.code_version()
    assert clean.startswith(f"{version('streamscore')}+") and "dirty" not in clean
    (tmp_path / "notes.txt").write_text("not code")
    assert provenance.code_version() == clean
    (tmp_path / "jobs" / "a.py").write_text("a = 2\n")
    assert provenance.code_version() == f"{clean}.dirty"


def test_the_code_digest_follows_the_files_that_make_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "fit.py").write_text("a = 1\n")
    before = provenance.code_digest()
    (tmp_path / "README.md").write_text("text")
    assert provenance.code_digest() == before
    (tmp_path / "training" / "fit.py").write_text("a = 2\n")
    assert provenance.code_digest() != before
