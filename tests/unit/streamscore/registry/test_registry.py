import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.errors import ContractError, RegistryError
from schemas.feed import Feed, load_feed
from schemas.propose import feed_from_signature
from schemas.settings import load_settings
from streamscore.registry.model_uri import VersionInfo
from streamscore.registry.registry import ALIAS, PROMOTED_AT, PROMOTED_BY, STAGE, Registry, open_registry
from streamscore.registry.requirements import requirements_differences, signature
from tests.support.new_database import new_database
from tests.support.present import present
from tests.support.register_kit import a_version
from tests.support.wait import HANG_SECONDS

pytestmark = pytest.mark.trains


def registry_at(uri: str) -> Registry:
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return registry_at(new_database(tmp_path_factory.mktemp("registry")))


@pytest.fixture(scope="module")
def versions(registry: Registry) -> list[VersionInfo]:
    """Two versions of wine_quality; the first was promoted before the second was trained."""
    feed = load_feed("wine_quality")
    return [a_version(feed, registry, promote=True), a_version(feed, registry)]


@pytest.mark.parametrize(
    "uri",
    [
        "models:/wine_quality@production",
        "models:/wine_quality/Production",
        "models:/wine_quality/pRODUCTION",
        "models:/wine_quality/1",
    ],
)
def test_alias_stage_in_any_case_and_number_resolve_to_the_promoted_version(
    registry: Registry, versions: list[VersionInfo], uri: str
) -> None:
    ref = registry.resolve(uri)
    assert (ref.uri, ref.name, ref.version, ref.run_id) == (uri, "wine_quality", "1", versions[0].run_id)


def test_latest_is_the_newest_version(registry: Registry, versions: list[VersionInfo]) -> None:
    assert registry.resolve("models:/wine_quality/latest").version == "2"


def test_a_run_resolves_to_its_path_and_its_id(registry: Registry, versions: list[VersionInfo], tmp_path: Path) -> None:
    ref = registry.resolve(f"runs:/{versions[1].run_id}/model")
    assert (ref.name, ref.version, ref.run_id) == ("model", versions[1].run_id, versions[1].run_id)
    assert present(signature(registry.download(ref, tmp_path))).inputs.input_names()[0] == "fixed acidity"


def test_a_logged_model_resolves_by_its_id(registry: Registry, versions: list[VersionInfo], tmp_path: Path) -> None:
    source = registry.resolve("models:/wine_quality/2").source
    ref = registry.resolve(source)
    assert source == f"models:/{ref.version}"
    assert ref.run_id == versions[1].run_id
    assert (registry.download(ref, tmp_path) / "MLmodel").is_file()


def test_resolving_is_cheap_enough_for_every_two_seconds(registry: Registry, versions: list[VersionInfo]) -> None:
    registry.resolve("models:/wine_quality@production")
    took = []
    for _ in range(20):
        start = time.process_time()
        registry.resolve("models:/wine_quality@production")
        took.append(time.process_time() - start)
    assert min(took) < 0.1  # of the processor, whatever else runs on the machine


@pytest.mark.parametrize(
    "uri", ["models:/wine_quality@nope", "models:/wine_quality/Staging", "models:/wine_quality/77"]
)
def test_a_missing_version_is_told_with_those_there_are(
    registry: Registry, versions: list[VersionInfo], uri: str
) -> None:
    with pytest.raises(RegistryError, match=r"'wine_quality' has v2.*, v1 Production production; next: ") as caught:
        registry.resolve(uri, "wine_quality")
    assert "streamscore train wine_quality --promote" in str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["models:/nope@x", "nonsense", "runs:/nope/model", "runs:/nope", "models:/m-0"])
def test_a_missing_model_is_told_with_those_there_are(
    registry: Registry, versions: list[VersionInfo], uri: str
) -> None:
    with pytest.raises(RegistryError, match=r"models there: 'wine_quality'.*streamscore train FEED --promote"):
        registry.resolve(uri)


def test_a_download_is_whole_and_happens_once(registry: Registry, versions: list[VersionInfo], tmp_path: Path) -> None:
    ref = registry.resolve("models:/wine_quality/1")
    path = registry.download(ref, tmp_path)
    before = (path / "MLmodel").stat().st_mtime_ns
    assert registry.download(ref, tmp_path) == path
    assert (path / "MLmodel").stat().st_mtime_ns == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_download_that_breaks_leaves_nothing(
    registry: Registry, versions: list[VersionInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.artifacts

    def half(artifact_uri: str, dst_path: Any, tracking_uri: str) -> None:
        Path(dst_path, "model.skops").write_bytes(b"half")
        msg = "connection lost"
        raise OSError(msg)

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", half)
    with pytest.raises(RegistryError, match="connection lost"):
        registry.download(registry.resolve("models:/wine_quality/2"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_promoting_sets_stage_alias_and_tags_and_archives_the_one_before(
    registry: Registry, versions: list[VersionInfo]
) -> None:
    feed = load_feed("wine_quality")
    done = registry.promote("wine_quality", "2", feed, by="ada")
    try:
        assert (done.version, done.previous, done.by) == ("2", "1", "ada")
        new, old = registry.versions("wine_quality")
        assert (new.version, new.stage, new.aliases) == ("2", STAGE, (ALIAS,))
        assert (old.version, old.stage, old.aliases) == ("1", "Archived", ())
        assert new.tags[PROMOTED_BY] == "ada"
        assert new.tags[PROMOTED_AT] == done.at.isoformat(timespec="seconds")
        assert new.metrics["rmse"] == versions[1].metrics["rmse"]
        for uri in ("models:/wine_quality@production", "models:/wine_quality/Production"):
            assert registry.resolve(uri).version == "2"
    finally:
        registry.promote("wine_quality", "1", feed)


def test_a_version_that_does_not_fit_the_feed_is_not_promoted(registry: Registry, versions: list[VersionInfo]) -> None:
    before = registry.versions("wine_quality")
    with pytest.raises(ContractError, match="'fixed acidity' is string in the feed and double in the model"):
        registry.promote("wine_quality", "2", load_feed("wine_quality_text"))
    assert registry.versions("wine_quality") == before


def test_promoting_a_version_that_is_not_there_is_refused(registry: Registry, versions: list[VersionInfo]) -> None:
    with pytest.raises(RegistryError, match="no models:/wine_quality/9"):
        registry.promote("wine_quality", "9", load_feed("wine_quality"))


def test_versions_of_an_unknown_model_are_refused(registry: Registry, versions: list[VersionInfo]) -> None:
    with pytest.raises(RegistryError, match="models there: 'wine_quality'"):
        registry.versions("nope")


def test_requirements_that_differ_are_reported(registry: Registry, versions: list[VersionInfo], tmp_path: Path) -> None:
    path = registry.download(registry.resolve("models:/wine_quality/1"), tmp_path)
    assert requirements_differences(path) == []
    (path / "python_env.yaml").write_text("python: 3.8.1\n")
    (path / "requirements.txt").write_text(
        "numpy==1.0  # old\nno-such-package>=2\npandas\n--extra-index-url x\ncolorama==0; sys_platform == 'none'\n"
    )
    python, numpy_, missing = requirements_differences(path)
    assert python.startswith("python: the model was made with 3.8.1")
    assert numpy_ == f"numpy: the model wants ==1.0, {np.__version__} is installed"
    assert missing == "no-such-package: the model wants >=2, none is installed"


def test_a_feed_proposed_from_a_signature_fits_the_model(
    registry: Registry, versions: list[VersionInfo], tmp_path: Path
) -> None:
    import yaml

    from schemas.signature import assert_contract

    asked = signature(registry.download(registry.resolve("models:/wine_quality/1"), tmp_path))
    feed = Feed.model_validate(yaml.safe_load(feed_from_signature("proposed", asked, "models:/wine_quality/1")))
    assert_contract(feed, asked, "wine_quality v1")
    assert [c.name for c in feed.features] == [c.name for c in load_feed("wine_quality").features]


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://ada:secret@127.0.0.1:9/x",
        "postgresql://ada:1/se@cret/secret@127.0.0.1:9/x",
        "sqlite:////no/such/folder/x.db",
    ],
)
def test_a_database_that_cannot_be_used_is_refused_at_once(where: str) -> None:
    start = time.perf_counter()
    with pytest.raises(RegistryError) as caught:
        registry_at(where).resolve("models:/a@b")
    assert time.perf_counter() - start < HANG_SECONDS
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a text, and not a database")
    with pytest.raises(RegistryError, match="is not a SQLite file"):
        registry_at(f"sqlite:///{tmp_path}/x.db").resolve("models:/a@b")


def test_a_server_that_is_down_is_told_in_bounded_time() -> None:
    start = time.perf_counter()
    with pytest.raises(RegistryError, match="Connection refused") as caught:
        registry_at("http://127.0.0.1:9").resolve("models:/a@b")
    assert time.perf_counter() - start < HANG_SECONDS  # MLflow alone tries for 4 minutes
    assert "http://127.0.0.1:9" in str(caught.value)


def test_settings_come_before_mlflows_variables_and_these_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = open_registry(load_settings())
    assert plain.tracking_uri == plain.registry_uri == f"sqlite:///{tmp_path}/var/mlflow.db"
    assert plain.connection.artifacts == f"file://{tmp_path}/var/mlartifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://registry")
    from_variables = open_registry(load_settings())
    assert (from_variables.tracking_uri, from_variables.registry_uri) == ("http://tracking", "http://registry")
    assert from_variables.connection.artifacts is None
    set_here = open_registry(
        load_settings(flags={"registry.tracking_uri": "http://a", "registry.registry_uri": "http://b"})
    )
    assert (set_here.tracking_uri, set_here.registry_uri) == ("http://a", "http://b")


def test_nothing_is_written_beside_var_even_in_a_folder_with_odd_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ä b%41?#"
    folder.mkdir()
    monkeypatch.chdir(folder)
    variables = {name: value for name, value in os.environ.items() if name.endswith("_URI")}
    registry, feed = open_registry(load_settings()), load_feed("wine_quality")
    a_version(feed, registry, promote=True)
    path = registry.download(registry.resolve(feed.model_uri), folder / "var" / "models")
    assert (path / "MLmodel").is_file()
    assert [entry.name for entry in folder.iterdir()] == ["var"]
    assert sorted(entry.name for entry in (folder / "var").iterdir()) == ["mlartifacts", "mlflow.db", "models"]
    assert {name: value for name, value in os.environ.items() if name.endswith("_URI")} == variables


@pytest.mark.parametrize("name", ["Wein Güte", "100% wine", "a+b #1?"])
def test_a_model_may_have_any_name_that_mlflow_takes(
    registry: Registry, versions: list[VersionInfo], tmp_path: Path, name: str
) -> None:
    with registry.active() as mlflow:
        client = mlflow.MlflowClient()
        client.create_registered_model(name)
        first = client.get_model_version(versions[-1].name, versions[-1].version)
        client.create_model_version(name, first.source, first.run_id)
    ref = registry.resolve(f"models:/{name}/1")
    path = registry.download(ref, tmp_path)
    assert mlflow.pyfunc.load_model(str(path)).metadata.run_id == first.run_id
    assert "%" not in path.name
    assert ref.promote_command == f"streamscore promote '{name}' 1"
    with registry.connection.reaching() as client:
        client.delete_registered_model(name)


def test_a_registry_made_anew_does_not_get_the_old_ones_files(
    registry: Registry, versions: list[VersionInfo], tmp_path: Path
) -> None:
    from dataclasses import replace

    ref = registry.resolve("models:/wine_quality/1")
    other = replace(ref, source="models:/m-other", model=replace(ref.model, run_id="other"))
    assert registry.download(ref, tmp_path) != registry.download(other, tmp_path)
