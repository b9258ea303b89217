"""A model store in an MLflow registry."""

from pathlib import Path

import pytest

from schemas.errors import ContractError
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from streamscore.registry.store.model_store import ModelStore, find
from tests.support.new_database import new_database
from tests.support.store_contract import StoreContract, push_as

pytestmark = pytest.mark.trains


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    flags = {"registry.tracking_uri": new_database(tmp_path), "store.path": "mlflow"}
    return open_registry(load_settings(flags=flags))


class TestInARegistry(StoreContract):
    @pytest.fixture
    def store(self, registry: Registry) -> ModelStore:
        return registry.store


def test_a_version_of_the_store_is_one_of_the_registry(registry: Registry, tmp_path: Path) -> None:
    push_as(registry.store, "1.2.0", tmp_path)
    for uri in ("store:/wine/^1", "models:/wine/1"):  # either is verified
        assert (registry.download(registry.resolve(uri), tmp_path / "downloaded") / "MLmodel").is_file()
    (version,) = registry.versions("wine")
    assert version.metrics == {"rmse": 0.5}


def test_tags_that_were_changed_are_seen(registry: Registry, tmp_path: Path) -> None:
    push_as(registry.store, "1.2.0", tmp_path)
    push_as(registry.store, "1.3.0", tmp_path, "others")
    other = registry.resolve("models:/wine/2").tags
    registry.tag_version("wine", "1", {key: value for key, value in other.items() if "manifest" in key})
    with pytest.raises(ContractError, match="is not what the tags of wine say"):
        find(registry.store, "wine", "1.2.0")
