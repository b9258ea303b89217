"""What the manifest of a version says, and that nothing that differs from it gets a name to be loaded by."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.errors import ContractError, RegistryError
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.registry.manifest import CHUNK, ModelManifest, take_manifest
from streamscore.registry.model_uri import MANIFEST, ModelRef
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from tests.support.register_kit import a_version

pytestmark = pytest.mark.trains

FEED = load_feed("wine_quality")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    flags = {"registry.tracking_uri": new_database(folder), "models.manifest": "required"}
    return open_registry(load_settings(flags=flags))


@pytest.fixture(scope="module")
def version(registry: Registry) -> ModelRef:
    """The only version of wine_quality."""
    a_version(FEED, registry)
    return registry.resolve("models:/wine_quality/1")


@pytest.fixture
def stored(folder: Path, version: ModelRef, tmp_path: Path) -> Iterator[Path]:
    """The folder in which the artifact store keeps it; whole again afterwards."""
    (mlmodel,) = (folder / "mlartifacts").rglob("MLmodel")
    shutil.copytree(mlmodel.parent, tmp_path / "kept")
    yield mlmodel.parent
    shutil.rmtree(mlmodel.parent, ignore_errors=True)
    shutil.copytree(tmp_path / "kept", mlmodel.parent)


@pytest.fixture
def bare(registry: Registry, version: ModelRef) -> Iterator[ModelRef]:
    """The version without its manifest; with it again afterwards."""
    with registry.active() as mlflow:
        mlflow.MlflowClient().delete_model_version_tag("wine_quality", "1", MANIFEST)
        yield registry.resolve("models:/wine_quality/1")
        mlflow.MlflowClient().set_model_version_tag("wine_quality", "1", MANIFEST, version.tags[MANIFEST])


def flip_a_byte(stored: Path) -> None:
    content = bytearray((stored / "model.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (stored / "model.skops").write_bytes(content)


def truncate(stored: Path) -> None:
    content = (stored / "model.skops").read_bytes()
    (stored / "model.skops").write_bytes(content[: len(content) // 2])


DAMAGES = pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, r"'model.skops' is sha256 \w{12}… of ([\d,]+) bytes, its manifest says sha256 \w{12}… of \1"),
        (truncate, r"'model.skops' is sha256 \w{12}… of [\d,]+ bytes, its manifest says sha256"),
        (lambda stored: (stored / "model.skops").unlink(), "'model.skops' is not there, its manifest says sha256"),
        (lambda stored: (stored / "added.py").write_text("x"), "'added.py' is sha256 .* of 1 bytes, .* says not there"),
        (
            lambda stored: ((stored / "__pycache__").mkdir(), (stored / "registered_model_meta").write_text("x")),
            None,  # what Python and MLflow leave in a folder is deleted, and never loaded
        ),
    ],
    ids=["flipped", "truncated", "missing", "added", "left over"],
)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_tags_hold_the_whole_manifest_and_are_short_enough(count: int) -> None:
    manifest = ModelManifest({f"folder/ö {n}.bin": (f"{n:064x}", n) for n in range(count)})
    tags = manifest.to_tags()
    assert list(tags)[-1] == MANIFEST
    assert max(map(len, tags.values())) <= CHUNK
    assert ModelManifest.from_tags(tags | {f"{MANIFEST}.99": "of an older, longer one"}, "m v1") == manifest


def test_a_manifest_that_a_crash_left_half_written_does_not_count() -> None:
    tags = ModelManifest({"a": ("0" * 64, 1)}).to_tags()
    assert ModelManifest.from_tags({f"{MANIFEST}.0": tags[f"{MANIFEST}.0"]}, "m v1") is None


@pytest.mark.parametrize("changed", [{f"{MANIFEST}.0": "{}"}, {MANIFEST: "0:1"}, {MANIFEST: "nonsense"}])
def test_tags_that_somebody_changed_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="somebody changed them"):
        ModelManifest.from_tags(ModelManifest({"a": ("0" * 64, 1)}).to_tags() | changed, "m v1")


def test_links_are_no_files_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ContractError, match="'link' is a link"):
        take_manifest(tmp_path)


def test_training_records_the_manifest_with_the_version(
    registry: Registry, version: ModelRef, stored: Path, tmp_path: Path
) -> None:
    manifest = ModelManifest.from_tags(version.tags, version.title)
    assert manifest == take_manifest(stored)
    assert {"MLmodel", "model.skops", "requirements.txt"} <= set(manifest.files)
    path = registry.download(version, tmp_path / "models")
    assert take_manifest(path) == manifest
    assert not (path / "registered_model_meta").exists()


@DAMAGES
def test_damaged_artifacts_are_neither_kept_nor_promoted(
    registry: Registry,
    version: ModelRef,
    stored: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    said: str | None,
) -> None:
    before = registry.versions("wine_quality")
    damage(stored)
    if said is None:
        registry.download(version, tmp_path / "models")
        return
    with pytest.raises(ContractError, match=rf"model wine_quality v1: its file {said}"):
        registry.download(version, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
    with pytest.raises(ContractError, match=said) as refused:
        registry.promote("wine_quality", "1", FEED)
    assert refused.value.exit_code == 3
    assert registry.versions("wine_quality") == before


@DAMAGES
def test_a_downloaded_folder_that_rotted_is_fetched_anew(
    registry: Registry, version: ModelRef, tmp_path: Path, damage: Callable[[Path], None], said: str | None
) -> None:
    path = registry.download(version, tmp_path / "models")
    damage(path)
    assert registry.download(version, tmp_path / "models") == path
    assert take_manifest(path) == ModelManifest.from_tags(version.tags, "")
    assert list((tmp_path / "models").iterdir()) == [path]


def test_compiled_python_beside_a_models_code_is_not_left_to_be_run(
    registry: Registry, version: ModelRef, tmp_path: Path
) -> None:
    path = registry.download(version, tmp_path / "models")
    (path / "code" / "__pycache__").mkdir(parents=True)
    (path / "code" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"anything")
    registry.download(version, tmp_path / "models")
    assert not list(path.rglob("*.pyc"))


def test_artifacts_that_are_gone_are_a_registry_error_that_names_the_version(
    registry: Registry, version: ModelRef, stored: Path, tmp_path: Path
) -> None:
    (stored / "MLmodel").unlink()
    with pytest.raises(
        RegistryError, match=r"files of model wine_quality v1 .* are no MLflow model: no file 'MLmodel'"
    ):
        registry.download(version, tmp_path / "models")
    stored.rename(tmp_path / "away")
    with pytest.raises(RegistryError, match="files of model wine_quality v1"):
        registry.download(version, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_without_manifest_is_refused_where_one_is_required_until_promoting_records_it(
    registry: Registry, version: ModelRef, bare: ModelRef, tmp_path: Path
) -> None:
    with pytest.raises(ContractError, match=r"has no manifest.*'required'; next: streamscore promote wine_quality 1"):
        registry.download(bare, tmp_path)
    registry.promote("wine_quality", "1", FEED)
    promoted = registry.resolve("models:/wine_quality@production")
    assert ModelManifest.from_tags(promoted.tags, "") == ModelManifest.from_tags(version.tags, "")
    assert registry.download(promoted, tmp_path / "models").is_dir()


@pytest.mark.parametrize("form", ["runs:/{run_id}/model", "{source}"])
def test_what_is_no_registered_version_has_no_manifest(
    registry: Registry, version: ModelRef, tmp_path: Path, form: str
) -> None:
    ref = registry.resolve(form.format(run_id=version.run_id, source=version.source))
    with pytest.raises(
        ContractError, match=r"no version of a registered model.*register it, then: streamscore promote"
    ):
        registry.download(ref, tmp_path)


def test_with_the_setting_warn_a_version_without_manifest_is_fetched_at_each_start(
    registry: Registry, version: ModelRef, bare: ModelRef, tmp_path: Path
) -> None:
    lax = open_registry(load_settings("local", {"registry.tracking_uri": registry.tracking_uri}))
    path = lax.download(bare, tmp_path / "models")
    (path / "model.skops").write_bytes(b"rotten")
    assert lax.download(registry.resolve("models:/wine_quality/1"), tmp_path / "models") == path
    assert take_manifest(path) == ModelManifest.from_tags(version.tags, "")
