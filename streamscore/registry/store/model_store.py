"""What every store can do, and the version that a `store:/` URI stands for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from schemas.errors import RegistryError, SettingsError
from streamscore.registry.model_uri import STORE, ModelRef
from streamscore.registry.store.semantic import SemanticVersion, Wanted
from streamscore.registry.store.stored_version import NAME, StoredVersion

SHOWN = 10  # in a message


class ModelStore(Protocol):
    """Versions that never change, and their files; for many threads.

    Raises:
        RegistryError: from every method: the store does not answer.
        ContractError: from every method that reads: a version is not what was put there.
    """

    place: str  # a folder, s3://BUCKET/PREFIX, or the URI of a registry

    def names(self) -> list[str]:
        """The names of all models, in their order."""

    def numbers(self, name: str) -> list[SemanticVersion]:
        """The versions of a model, newest first; also those of which `read` finds nothing, as their push never ended.

        None if there is no such model.
        """

    def read(self, name: str, version: SemanticVersion) -> StoredVersion | None:
        """What is known of a version; None if it is not there."""

    def fetch(self, stored: StoredVersion, folder: Path, file: str = "") -> Path:
        """The model's files in a folder, or one of them; not verified. Returns the folder, or the file."""

    def fetch_data(self, stored: StoredVersion, folder: Path) -> Path:
        """The file of training data that the store keeps, in a folder; not verified."""

    def put(self, stored: StoredVersion, model: Path, data: Path | None) -> StoredVersion:
        """Put a version, once for ever; returns the one that is there then.

        Args:
            model: the folder of its files, as its manifest says.
            data: the file of its training data, where it names one.

        Raises:
            ContractError: that version is there already, with other files.
        """


def stored_versions(store: ModelStore, name: str, wanted: Wanted) -> Iterator[StoredVersion]:
    """The versions of a model that will do, newest first."""
    numbers = [wanted.low] if wanted.exact else [n for n in store.numbers(name) if wanted.includes(n)]
    for number in numbers:
        if found := store.read(name, number):
            yield found


def find(store: ModelStore, name: str, version: str) -> StoredVersion:
    """The newest version that will do; one or two small reads.

    Args:
        version: exact, `latest`, or a range.

    Raises:
        RegistryError: the store does not answer, or has no such version; says what there is.
    """
    uri = f"{STORE}{name}/{version}"
    try:
        wanted = Wanted.parse(version)
        if not NAME.fullmatch(name):
            msg = f"model name '{name}'"
            raise SettingsError(msg)
    except SettingsError as error:
        msg = f"no {uri} in {store.place}: wanted {STORE}NAME/VERSION, VERSION as 1.2.0, latest or ^1.2"
        raise RegistryError(msg) from LookupError(str(error))
    if found := next(stored_versions(store, name, wanted), None):
        return found
    raise RegistryError(_what_exists(store, name, uri)) from LookupError(uri)


def resolve_stored(store: ModelStore, uri: str) -> ModelRef:
    """The version that a `store:/` URI stands for now.

    Raises:
        RegistryError: as `find`.
    """
    name, _, version = uri.removeprefix(STORE).partition("/")
    stored = find(store, name, version)
    source = f"{store.place}/models/{name}/{stored.version.folder}"
    return ModelRef(uri, stored.model, source, {**stored.tags, **stored.manifest.to_tags()})


def _what_exists(store: ModelStore, name: str, uri: str) -> str:
    push = f"streamscore store push SOURCE {name} VERSION"
    if found := [str(version) for version in store.numbers(name) if store.read(name, version)][:SHOWN]:
        return f"no {uri} in {store.place}: '{name}' has {', '.join(found)}; next: {push}"
    models = ", ".join(f"'{one}'" for one in store.names()[:SHOWN]) or "none"
    return f"no {uri} in {store.place}: models there: {models}; next: {push}"
