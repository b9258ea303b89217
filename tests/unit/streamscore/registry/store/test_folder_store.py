"""A model store in a folder, and what it refuses to read."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ContractError, RegistryError
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.model_store import find
from streamscore.registry.store.push import pull
from streamscore.storage.folder import Folder, LocalFolder
from tests.support.store_contract import ALLOWED, FolderStoreContract, push_as


class TestInAFolder(FolderStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Folder:
        return LocalFolder(tmp_path / "store")


def test_the_layout_is_the_one_that_is_documented(tmp_path: Path) -> None:
    pushed = push_as(FolderStore(LocalFolder(tmp_path / "store")), "1.2.0", tmp_path)
    version = tmp_path / "store/models/wine/1_2_0"
    assert sorted(path.name for path in version.iterdir()) == [f"model-{pushed.manifest.digest[:16]}", "version.json"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("files", {"../outside": ["0" * 64, 1]}, "digest"),
        ("data", {"file": "../outside"}, "'../outside', which is not in its folder"),
        ("format", 2, "format 2, this release reads 1"),
        ("name", "beer", "is of beer 1.0.0"),
        ("version", "one", "wanted three numbers"),
        ("tags", None, "is not what streamscore wrote"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, key: str, value: Any, said: str) -> None:
    store = FolderStore(LocalFolder(tmp_path / "store"))
    push_as(store, "1.0.0", tmp_path)
    path = tmp_path / "store/models/wine/1_0_0/version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ContractError, match=said):
        find(store, "wine", "1.0.0")


def test_a_manifest_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    store = FolderStore(LocalFolder(tmp_path / "store"))
    push_as(store, "1.0.0", tmp_path)
    path = tmp_path / "store/models/wine/1_0_0/version.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ContractError, match="is not what streamscore wrote"):
        find(store, "wine", "latest")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    store = FolderStore(LocalFolder(tmp_path / "store"))
    pushed = push_as(store, "1.0.0", tmp_path)
    (tmp_path / "store/models/wine/1_0_0" / pushed.files_folder / "model.skops").unlink()
    with pytest.raises(ContractError, match=r"no \S+/model.skops"):
        pull(store, pushed, tmp_path / "pulled", ALLOWED)


def test_a_store_that_cannot_be_read_is_an_error_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "store/models/wine/1_0_0/version.json").mkdir(parents=True)
    with pytest.raises(RegistryError, match="does not answer"):
        find(FolderStore(LocalFolder(tmp_path / "store")), "wine", "1.0.0")
