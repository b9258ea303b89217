"""A store in an MLflow registry: its versions are those that have a semantic version, in a tag."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ContractError
from streamscore.registry.connection import Connection
from streamscore.registry.manifest import ModelManifest
from streamscore.registry.model_uri import ModelRef, all_versions, artifact_location
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.store.folder_store import VERSION_FILE, assert_same
from streamscore.registry.store.push import DATA, MODEL, SEMANTIC
from streamscore.registry.store.semantic import SemanticVersion, is_semantic
from streamscore.registry.store.stored_version import StoredVersion
from streamscore.registry.writer import make_experiment, make_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

PLACE = "mlflow"  # the setting that means it


class MlflowStore:
    """Files, training data and `version.json` are artifacts of a run; the manifest is in the version's tags, too.

    MLflow gives a number to a version only when the one before it is there, so of two with the same semantic version
    the lower number was first, and stands.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection, self.place = connection, PLACE

    def names(self) -> list[str]:
        with self.connection.reaching() as client:
            names, token = list[str](), None
            while True:
                page = client.search_registered_models(max_results=1000, page_token=token)
                names += [model.name for model in page]
                if not (token := page.token):
                    break
            return sorted(name for name in names if any(_semantic(client, name)))

    def numbers(self, name: str) -> list[SemanticVersion]:
        with self.connection.reaching() as client:
            found = {SemanticVersion.parse(version.tags[SEMANTIC]) for version in _semantic(client, name)}
        return sorted(found, reverse=True)

    def read(self, name: str, version: SemanticVersion) -> StoredVersion | None:
        with self.connection.reaching() as client, tempfile.TemporaryDirectory() as temporary:
            if (found := _first(client, name, version)) is None:
                return None
            with self.connection.store_variables():
                path = client.download_artifacts(str(found.run_id), VERSION_FILE, temporary)
            stored = StoredVersion.from_json(Path(path).read_bytes(), f"{VERSION_FILE} of run {found.run_id}")
        listed = ModelManifest.from_tags(dict(found.tags), stored.model.title)
        if (stored.name, stored.version, stored.manifest) != (name, version, listed):
            msg = f"{VERSION_FILE} of run {found.run_id} is not what the tags of {name} say; put it back"
            raise ContractError(msg)
        return stored

    def fetch(self, stored: StoredVersion, folder: Path, file: str = "") -> Path:
        with self.connection.reaching() as client:
            found = self._there(client, stored)
        uri = f"models:/{stored.name}/{found.version}"
        ref = ModelRef(uri, ModelVersion(stored.name, str(found.version), found.run_id or ""), found.source or "")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as temporary:
            path = self.connection.fetch(lambda client: artifact_location(client, ref), uri, file, Path(temporary))
            if not file:
                return Path(shutil.copytree(path, folder, dirs_exist_ok=True))
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            return Path(shutil.copy(path, folder / file))

    def fetch_data(self, stored: StoredVersion, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with self.connection.store_variables(), self.connection.reaching() as client:
            run_id = str(self._there(client, stored).run_id)
            with tempfile.TemporaryDirectory() as temporary:
                path = client.download_artifacts(run_id, f"{DATA}/{stored.data.file}", temporary)
                return Path(shutil.copy(path, folder / stored.data.file))

    def put(self, stored: StoredVersion, model: Path, data: Path | None) -> StoredVersion:
        """As every store.

        1. A version that is there stays.  2. A run with the files.  3. A version of the registry, with tags.
        4. Of two at once the lower number stands; the other one is deleted.
        """
        # 1
        if there := self.read(stored.name, stored.version):
            return assert_same(there, stored, self.place)
        with self.connection.store_variables(), self.connection.reaching() as client:
            # 2
            run = client.create_run(make_experiment(client, stored.name, self._artifacts(stored.name))).info
            client.log_artifacts(run.run_id, str(model), MODEL)
            if data is not None:
                client.log_artifact(run.run_id, str(data), DATA)
            client.log_text(run.run_id, stored.to_json().decode(), VERSION_FILE)
            for name, value in stored.metrics.items():
                client.log_metric(run.run_id, name, value)
            client.set_terminated(run.run_id)
            # 3
            make_model(client, stored.name)
            tags = {**stored.tags, **stored.manifest.to_tags(), SEMANTIC: str(stored.version)}
            source = f"{run.artifact_uri}/{MODEL}"
            made = client.create_model_version(stored.name, source, run.run_id, tags=tags)
            # 4
            if (first := _first(client, stored.name, stored.version)) and first.version != made.version:
                client.delete_model_version(stored.name, made.version)
        there = self.read(stored.name, stored.version)
        assert there is not None
        return assert_same(there, stored, self.place)

    def _artifacts(self, name: str) -> str | None:
        return f"{self.connection.artifacts}/{name}" if self.connection.artifacts else None

    def _there(self, client: "MlflowClient", stored: StoredVersion) -> "MlflowVersion":
        if (found := _first(client, stored.name, stored.version)) is None:
            msg = f"{stored.name} {stored.version} is in {self.place} no more; use another version"
            raise ContractError(msg)
        return found


def _semantic(client: "MlflowClient", name: str) -> "Iterator[MlflowVersion]":
    return (version for version in all_versions(client, name) if is_semantic(version.tags.get(SEMANTIC, "")))


def _first(client: "MlflowClient", name: str, version: SemanticVersion) -> "MlflowVersion | None":
    found = [one for one in _semantic(client, name) if one.tags[SEMANTIC] == str(version)]
    return min(found, key=lambda one: int(one.version), default=None)
