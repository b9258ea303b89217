"""What every model store promises; an heir has a fixture `store`, or `place` for one in a folder or bucket."""

import threading
from pathlib import Path

import pytest

from schemas.errors import ContractError, RegistryError, SettingsError
from schemas.settings import Models
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.model_store import ModelStore, find
from streamscore.registry.store.push import Pushed, copy, pull, push
from streamscore.registry.store.stored_version import StoredVersion
from streamscore.storage.folder import Folder, LocalFolder

ALLOWED = Models()
MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.skops}
  sklearn: {serialization_format: FORMAT, pickled_model: model.skops}
signature: {inputs: '[{"type": "double", "name": "x", "required": true}]', outputs: '[{"type": "double"}]'}
metadata: {streamscore: {missing_text: nan}}
run_id: run-1
"""


def a_model(folder: Path, content: str = "weights", stored_as: str = "skops") -> Path:
    """Files that look like a model's; nobody loads them."""
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL.replace("FORMAT", stored_as))
    (folder / "model.skops").write_text(content)
    (folder / "code" / "more.txt").write_text("more")
    return folder


def push_as(store: ModelStore, version: str, folder: Path, content: str = "weights") -> StoredVersion:
    """Push such a model under the name `wine`."""
    made = a_model(folder / f"{version}-{content}", content)
    return push(store, Pushed(made, str(made), metrics={"rmse": 0.5}), "wine", version, ALLOWED)


class StoreContract:
    """Tests of any store."""

    def test_a_version_is_found_exactly_as_the_latest_and_by_range(self, store: ModelStore, tmp_path: Path) -> None:
        for version in ("1.2.0", "1.10.0", "2.0.0", "0.9.9"):
            push_as(store, version, tmp_path)
        asked = ("1.2.0", "latest", "^1", "^1.2", "^1.2.5", "^0.9")
        found = [str(find(store, "wine", wanted).version) for wanted in asked]
        assert found == ["1.2.0", "2.0.0", "1.10.0", "1.10.0", "1.10.0", "0.9.9"]
        assert store.names() == ["wine"]
        assert [str(number) for number in store.numbers("wine")] == ["2.0.0", "1.10.0", "1.2.0", "0.9.9"]

    def test_what_is_not_there_is_told_with_what_is(self, store: ModelStore, tmp_path: Path) -> None:
        with pytest.raises(RegistryError, match="models there: none; next: streamscore store push"):
            find(store, "wine", "latest")
        push_as(store, "1.2.0", tmp_path)
        for wanted in ("1.2.1", "^2", "^1.3"):
            with pytest.raises(RegistryError, match=r"no store:/wine/\S+ in .*: 'wine' has 1.2.0"):
                find(store, "wine", wanted)

    def test_a_version_says_all_that_is_known_of_it(self, store: ModelStore, tmp_path: Path) -> None:
        pushed = push_as(store, "1.0.0", tmp_path)
        found = find(store, "wine", "1.0.0")
        assert found == pushed
        assert (found.metrics, found.run_id) == ({"rmse": 0.5}, "run-1")
        assert (found.metadata, found.signature is None) == ({"streamscore": {"missing_text": "nan"}}, False)
        assert set(found.manifest.files) == {"MLmodel", "model.skops", "code/more.txt"}

    def test_a_version_never_changes(self, store: ModelStore, tmp_path: Path) -> None:
        first = push_as(store, "1.0.0", tmp_path)
        assert push_as(store, "1.0.0", tmp_path / "again") == first
        with pytest.raises(ContractError, match=r"wine 1.0.0 is in \S+ already, with other files"):
            push_as(store, "1.0.0", tmp_path, "others")
        assert find(store, "wine", "1.0.0") == first

    def test_of_many_pushes_at_once_one_stands_whole(self, store: ModelStore, tmp_path: Path) -> None:
        barrier, won, lost = threading.Barrier(4), list[StoredVersion](), list[str]()

        def do(content: str) -> None:
            barrier.wait(30)
            try:
                won.append(push_as(store, "1.0.0", tmp_path, content))
            except ContractError as error:
                lost.append(str(error))

        threads = [threading.Thread(target=do, args=(f"weights {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 3)
        assert find(store, "wine", "latest") == won[0]
        pull(store, won[0], tmp_path / "pulled", ALLOWED)

    def test_a_version_is_pulled_and_copied_with_its_training_data(self, store: ModelStore, tmp_path: Path) -> None:
        data = tmp_path / "wine.csv"
        data.write_text("x\n1\n")
        made = a_model(tmp_path / "made")
        pushed = push(store, Pushed(made, "made", data=data), "wine", "1.0.0", ALLOWED)
        other = FolderStore(LocalFolder(tmp_path / "other"))
        assert copy(store, pushed, other, ALLOWED) == pushed
        assert find(other, "wine", "latest") == pushed
        pulled = pull(store, pushed, tmp_path / "pulled", ALLOWED)
        names = sorted(path.relative_to(pulled).as_posix() for path in pulled.rglob("*") if path.is_file())
        assert names == ["data/wine.csv", "model/MLmodel", "model/code/more.txt", "model/model.skops", "version.json"]
        assert (pulled / "data/wine.csv").read_text() == "x\n1\n"
        with pytest.raises(SettingsError, match="is there already"):
            pull(other, pushed, pulled, ALLOWED)


class FolderStoreContract(StoreContract):
    """Tests of one in a folder or bucket."""

    @pytest.fixture
    def store(self, place: Folder) -> ModelStore:
        return FolderStore(place)

    def test_a_push_that_did_not_end_is_no_version_and_can_be_repeated(
        self, store: ModelStore, place: Folder, tmp_path: Path
    ) -> None:
        push_as(store, "1.0.0", tmp_path)
        unfinished = place.at("models/wine/1_1_0/model-0123456789abcdef")
        unfinished.make()
        unfinished.write("MLmodel", b"half")
        assert str(find(store, "wine", "^1").version) == "1.0.0"
        push_as(store, "1.1.0", tmp_path)
        assert str(find(store, "wine", "^1").version) == "1.1.0"

    @pytest.mark.parametrize("damaged", ["model.skops", "wine.csv"])
    def test_a_file_that_was_changed_is_not_pulled(
        self, store: ModelStore, place: Folder, tmp_path: Path, damaged: str
    ) -> None:
        data = tmp_path / "wine.csv"
        data.write_text("x\n1\n")
        pushed = push(store, Pushed(a_model(tmp_path / "made"), "made", data=data), "wine", "1.0.0", ALLOWED)
        folder = pushed.files_folder if damaged == "model.skops" else pushed.data_folder
        place.at(f"models/wine/1_0_0/{folder}").write(damaged, b"changed")
        with pytest.raises(ContractError, match=damaged):
            pull(store, pushed, tmp_path / "pulled", ALLOWED)
        assert not (tmp_path / "pulled").exists()
