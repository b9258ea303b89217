"""A model put into a store, taken out of it, copied from one to another; always verified, never loaded."""

import getpass
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import ContractError, SettingsError
from schemas.settings import Models
from streamscore.registry.allow_list import assert_folder_loadable, parse_mlmodel
from streamscore.registry.manifest import take_manifest
from streamscore.registry.model_uri import MANIFEST
from streamscore.registry.provenance import DATA_DIGEST, DATA_ROWS, DATA_SOURCE
from streamscore.registry.store.folder_store import VERSION_FILE
from streamscore.registry.store.model_store import ModelStore
from streamscore.registry.store.semantic import SemanticVersion
from streamscore.registry.store.stored_version import StoredVersion, TrainingData, assert_name

SMALL_BYTES = 10 * 2**20  # training data up to here are kept without being asked for
SEMANTIC = "streamscore.store_version"  # the tag that makes a version of an MLflow registry one of a store
OF_A_REGISTRY = (MANIFEST, SEMANTIC, "streamscore.promoted_")  # tags that say something of the version there
MODEL, DATA = "model", "data"  # folders in what `pull` makes


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is known of a model that is pushed.

    Attributes:
        folder: its files, verified as far as its source has a manifest.
        origin: the URI or folder that they are from.
        data: a file of training data that was named.
        keep_data: whether the store keeps that file; None: if it is small.
    """

    folder: Path
    origin: str
    run_id: str = ""
    metrics: Mapping[str, float] | None = None
    tags: Mapping[str, str] | None = None
    data: Path | None = None
    keep_data: bool | None = None


def push(store: ModelStore, pushed: Pushed, name: str, version: str, allowed: Models) -> StoredVersion:
    """Put a model into a store as a version.

    1. Its files must be such as the settings allow.  2. What is known of it is written down.  3. It is put.

    Raises:
        SettingsError: no such name or version could be, or the file of training data is not there.
        ContractError: it may not be loaded, or the version is there with other files.
        RegistryError: no answer.
    """
    assert_name(name)
    number = SemanticVersion.parse(version)
    if not (pushed.folder / "MLmodel").is_file():
        msg = f"{pushed.origin} is no MLflow model: no file 'MLmodel' there; give a model's folder or a model URI"
        raise SettingsError(msg)
    # 1
    manifest = take_manifest(pushed.folder)
    assert_folder_loadable(pushed.folder, f"{name} {number}", allowed)
    # 2
    mlmodel = parse_mlmodel((pushed.folder / "MLmodel").read_bytes(), name)
    data, file = _training_data(pushed)
    stored = StoredVersion(
        name,
        number,
        manifest,
        datetime.now(UTC),
        getpass.getuser(),
        pushed.origin,
        pushed.run_id or str(mlmodel.get("run_id") or ""),
        mlmodel.get("signature"),
        mlmodel.get("metadata") or {},
        pushed.metrics or {},
        {key: value for key, value in (pushed.tags or {}).items() if not key.startswith(OF_A_REGISTRY)},
        data,
    )
    # 3
    return store.put(stored, pushed.folder, file)


def pull(store: ModelStore, stored: StoredVersion, target: Path, allowed: Models) -> Path:
    """A version in a new folder: `model`, `version.json`, and `data` if the store has training data. All or nothing.

    Raises:
        SettingsError: the folder is there and not empty.
        ContractError: files are not as the manifest says, or may not be loaded.
        RegistryError: no answer.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        msg = f"{target} is there already, wanted a new folder; name another one"
        raise SettingsError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as temporary:
        made = Path(temporary, "made")
        _take(store, stored, made, allowed)
        (made / VERSION_FILE).write_bytes(stored.to_json())
        made.rename(target)
    return target


def put_pulled(store: ModelStore, folder: Path, name: str, version: str, allowed: Models) -> StoredVersion:
    """Put what `pull` made into a store again, with all that is known of it.

    Raises:
        ContractError: it is not as its manifest says, may not be loaded, is another version than `name` and `version`,
            or is there with other files.
        SettingsError: no such version could be.
        RegistryError: no answer.
    """
    stored = StoredVersion.from_json((folder / VERSION_FILE).read_bytes(), VERSION_FILE)
    if (stored.name, stored.version) != (name, SemanticVersion.parse(version)):
        msg = f"{VERSION_FILE} is of {stored.name} {stored.version}, wanted {name} {version}; put it as what it is"
        raise ContractError(msg)
    data = folder / DATA / stored.data.file if stored.data.file else None
    _assert_as_stored(stored, folder / MODEL, data, allowed)
    return store.put(stored, folder / MODEL, data)


def copy(store: ModelStore, stored: StoredVersion, to: ModelStore, allowed: Models) -> StoredVersion:
    """The same version in another store, with all that is known of it.

    Raises:
        ContractError: it is not as its manifest says, may not be loaded, or is there with other files.
        RegistryError: no answer.
    """
    with tempfile.TemporaryDirectory() as temporary:
        model, data = _take(store, stored, Path(temporary), allowed)
        return to.put(stored, model, data)


def _take(store: ModelStore, stored: StoredVersion, folder: Path, allowed: Models) -> tuple[Path, Path | None]:
    """Files and training data of a version, verified."""
    model = store.fetch(stored, folder / MODEL)
    data = store.fetch_data(stored, folder / DATA) if stored.data.file else None
    _assert_as_stored(stored, model, data, allowed, f" in {store.place}")
    return model, data


def _assert_as_stored(stored: StoredVersion, model: Path, data: Path | None, allowed: Models, where: str = "") -> None:
    """Hold files against what is said of their version.

    Raises:
        ContractError: they are not those, or may not be loaded.
    """
    title = f"{stored.name} {stored.version}"
    stored.manifest.assert_same(take_manifest(model), title)
    assert_folder_loadable(model, title, allowed)
    if data and not (data.is_file() and _sha256(data) == stored.data.sha256):
        msg = f"model {title}: its training data '{stored.data.file}' were changed{where}; put them back"
        raise ContractError(msg)


def _training_data(pushed: Pushed) -> tuple[TrainingData, Path | None]:
    """What the version says of its training data, and the file of them that the store is to keep.

    Of a version that says what it was trained on, the file is kept only if it is still that file.
    """
    tags = pushed.tags or {}
    rows = tags.get(DATA_ROWS, "")
    known = TrainingData(tags.get(DATA_SOURCE, ""), tags.get(DATA_DIGEST, ""), int(rows) if rows.isdigit() else None)
    path = pushed.data or Path(known.source)
    if pushed.data and not path.is_file():
        msg = f"training data {path}: no such file; name one, or leave --data out"
        raise SettingsError(msg)
    if (not known.source and not pushed.data) or not path.is_file():
        return _unkept(known, pushed)
    sha256, size = _sha256(path), path.stat().st_size
    if pushed.data and sha256 != known.digest:  # other data than the tags speak of
        known = TrainingData(str(path), sha256)
    if sha256 != known.digest or not (size <= SMALL_BYTES if pushed.keep_data is None else pushed.keep_data):
        return _unkept(known, pushed)
    return replace(known, file=path.name, sha256=sha256, size=size), path


def _unkept(known: TrainingData, pushed: Pushed) -> tuple[TrainingData, None]:
    if pushed.keep_data and not pushed.data:
        msg = f"the training data '{known.source}' of {pushed.origin} are not here as they were; name them: --data FILE"
        raise SettingsError(msg)
    return known, None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
