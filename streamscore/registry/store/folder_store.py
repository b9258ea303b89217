"""A store in a folder of this machine or in a bucket: put-if-absent of `version.json` decides each version."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import ContractError, RegistryError, StorageError
from streamscore.registry.store.semantic import SemanticVersion
from streamscore.registry.store.stored_version import StoredVersion
from streamscore.storage.folder import Folder

VERSION_FILE = "version.json"
ROOT = "models"


class FolderStore:
    """`models/<name>/<1_2_0>/`: the files of the model, of its training data, and `version.json`."""

    def __init__(self, folder: Folder) -> None:
        self.place = folder.uri
        self._root = folder.at(ROOT)

    def names(self) -> list[str]:
        with self._reaching():
            return sorted(self._root.folders())

    def numbers(self, name: str) -> list[SemanticVersion]:
        with self._reaching():
            found = [SemanticVersion.of_folder(one) for one in self._root.at(name).folders()]
        return sorted((number for number in found if number is not None), reverse=True)

    def read(self, name: str, version: SemanticVersion) -> StoredVersion | None:
        at = self._at(name, version)
        with self._reaching():
            content = at.read(VERSION_FILE)
        where = f"{at.uri}/{VERSION_FILE}"
        found = None if content is None else StoredVersion.from_json(content, where)
        if found and (found.name, found.version) != (name, version):
            msg = f"{where} is of {found.name} {found.version}; put back the files that were there"
            raise ContractError(msg)
        return found

    def fetch(self, stored: StoredVersion, folder: Path, file: str = "") -> Path:
        at = self._at(stored.name, stored.version).at(stored.files_folder)
        for name in [file] if file else stored.manifest.files:
            self._take(at, name, folder)
        return folder / file

    def fetch_data(self, stored: StoredVersion, folder: Path) -> Path:
        return self._take(self._at(stored.name, stored.version).at(stored.data_folder), stored.data.file, folder)

    def put(self, stored: StoredVersion, model: Path, data: Path | None) -> StoredVersion:
        """As every store.

        1. A version that is there stays.  2. The files, under a name that only the same files have.
        3. `version.json`, if there is none, which decides.  4. What lost is deleted.
        A crash before step 3 leaves files that are no version; the same push again goes on with them.
        """
        at = self._at(stored.name, stored.version)
        # 1
        if there := self.read(stored.name, stored.version):
            return assert_same(there, stored, self.place)
        with self._reaching():
            # 2
            for name in stored.manifest.files:
                _write(at.at(stored.files_folder), name, model / name)
            if data is not None:
                _write(at.at(stored.data_folder), stored.data.file, data)
            at.sync()
            # 3
            is_ours = at.create(VERSION_FILE, stored.to_json())
            at.sync()
        there = self.read(stored.name, stored.version)
        assert there is not None
        # 4
        if not is_ours and there.files_folder != stored.files_folder:
            with self._reaching():
                at.at(stored.files_folder).delete_all(stored.manifest.files)
        return assert_same(there, stored, self.place)

    def _at(self, name: str, version: SemanticVersion) -> Folder:
        return self._root.at(f"{name}/{version.folder}")

    def _take(self, at: Folder, name: str, folder: Path) -> Path:
        with self._reaching():
            content = at.read(name)
        if content is None:
            msg = f"no {at.uri}/{name}; put it back, or use another version"
            raise ContractError(msg)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (OSError, StorageError) as error:
            msg = (
                f"the model store {self.place} does not answer as it should: {error}; set STREAMSCORE_STORE__PATH right"
            )
            raise RegistryError(msg) from error


def assert_same(there: StoredVersion, stored: StoredVersion, place: str) -> StoredVersion:
    """The version that is there, if its files are those of the one that was to be put.

    Raises:
        ContractError: they are others.
    """
    if there.manifest == stored.manifest:
        return there
    msg = (
        f"{stored.name} {stored.version} is in {place} already, with other files (digest "
        f"{there.manifest.digest[:12]}…, found {stored.manifest.digest[:12]}…); it never changes, push another version"
    )
    raise ContractError(msg)


def _write(folder: Folder, name: str, path: Path) -> None:
    above, _, last = name.rpartition("/")
    target = folder.at(above) if above else folder
    target.make()
    target.write(last, path.read_bytes())
