"""What may be pushed, and which training data go with it."""

from pathlib import Path

import pytest

from schemas.errors import ContractError, SettingsError
from schemas.settings import Models
from streamscore.registry.manifest import take_manifest
from streamscore.registry.provenance import DATA_DIGEST, DATA_ROWS, DATA_SOURCE
from streamscore.registry.store import push as of_push
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.push import Pushed, push
from streamscore.storage.folder import LocalFolder
from tests.support.store_contract import ALLOWED, a_model


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(LocalFolder(tmp_path / "store"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "wine.csv"
    path.write_text("x\n1\n")
    return path


@pytest.mark.parametrize("stored_as", ["pickle", "cloudpickle"])
def test_a_pickle_is_not_pushed(store: FolderStore, tmp_path: Path, stored_as: str) -> None:
    model = a_model(tmp_path / "made", stored_as=stored_as)
    with pytest.raises(ContractError, match=f"it is stored as '{stored_as}'"):
        push(store, Pushed(model, "made"), "wine", "1.0.0", ALLOWED)
    assert store.names() == []


@pytest.mark.parametrize("name", ["", "../wine", "a/b", ".hidden", "wine:1", "wine\n", "w" * 201])
def test_a_name_that_is_no_folder_everywhere_is_refused(store: FolderStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="model name"):
        push(store, Pushed(a_model(tmp_path / "made"), "made"), name, "1.0.0", ALLOWED)


def test_a_folder_without_a_model_and_a_range_are_refused(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no file 'MLmodel' there"):
        push(store, Pushed(tmp_path, "here"), "wine", "1.0.0", ALLOWED)
    with pytest.raises(SettingsError, match="wanted three numbers"):
        push(store, Pushed(a_model(tmp_path / "made"), "made"), "wine", "^1", ALLOWED)


def test_a_link_out_of_the_folder_is_not_followed(store: FolderStore, tmp_path: Path, data: Path) -> None:
    model = a_model(tmp_path / "made")
    (model / "link").symlink_to(data)
    with pytest.raises(ContractError, match="is a link"):
        push(store, Pushed(model, "made"), "wine", "1.0.0", ALLOWED)


def kept(store: FolderStore, pushed: Pushed) -> tuple[str, str, int | None]:
    found = push(store, pushed, "wine", "1.0.0", Models()).data
    return found.file, found.digest[:6], found.rows


def test_the_data_that_the_version_names_are_kept_while_they_are_those(
    store: FolderStore, tmp_path: Path, data: Path
) -> None:
    model = a_model(tmp_path / "made")
    sha256 = take_manifest(data.parent).files["wine.csv"][0]
    tags = {DATA_SOURCE: str(data), DATA_DIGEST: sha256, DATA_ROWS: "1"}
    assert kept(store, Pushed(model, "made", tags=tags)) == ("wine.csv", sha256[:6], 1)


def test_changed_data_stay_a_reference(store: FolderStore, tmp_path: Path, data: Path) -> None:
    model = a_model(tmp_path / "made")
    tags = {DATA_SOURCE: str(data), DATA_DIGEST: "a" * 64, DATA_ROWS: "1"}
    with pytest.raises(SettingsError, match="are not here as they were"):
        kept(store, Pushed(model, "made", tags=tags, keep_data=True))
    assert kept(store, Pushed(model, "made", tags=tags)) == ("", "aaaaaa", 1)


@pytest.mark.parametrize(("keep", "file"), [(None, ""), (True, "wine.csv"), (False, "")])
def test_large_data_are_kept_if_asked_for(
    store: FolderStore, tmp_path: Path, data: Path, keep: bool | None, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_push, "SMALL_BYTES", 1)
    model = a_model(tmp_path / "made")
    assert kept(store, Pushed(model, "made", data=data, keep_data=keep))[0] == file


def test_data_that_are_not_there_are_refused(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        kept(store, Pushed(a_model(tmp_path / "made"), "made", data=tmp_path / "gone.csv"))
