"""Reading a registry: which versions there are, which one a URI stands for, and their files, verified.

Nothing of a model is imported or unpickled here: its files are held against the version's manifest and judged by
`MLmodel` before they get a name under which they could be loaded.
"""

import contextlib
import hashlib
import os
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from schemas.errors import RegistryError
from streamscore.registry.allow_list import assert_folder_loadable, parse_mlmodel
from streamscore.registry.connection import Connection
from streamscore.registry.heads import Head, find_heads
from streamscore.registry.manifest import take_manifest, wanted_manifest
from streamscore.registry.mlflow_module import root_cause
from streamscore.registry.model_uri import (
    FORMS,
    NOT_THERE,
    STORE,
    ModelRef,
    VersionInfo,
    all_versions,
    artifact_location,
    resolve_uri,
    run_metrics,
    uri_parts,
    version_info,
)
from streamscore.registry.promotions import Promotion, promotions
from streamscore.registry.store.model_store import ModelStore, find, resolve_stored

if TYPE_CHECKING:
    from mlflow import MlflowClient

STAGE = "Production"
ALIAS = "production"
NAME_LENGTH = 100  # of a name in the name of a folder, which has 255 bytes at most


class RegistryReader:
    """What a registry and the model store beside it say, and the files of their versions; for many threads."""

    def __init__(self, connection: Connection, store: ModelStore) -> None:
        self._connection, self._store = connection, store

    def resolve(self, uri: str, feed: str = "FEED") -> ModelRef:
        """The version that a model URI stands for now; one or two small queries, cheap enough for every 2 seconds.

        Args:
            uri: any of `FORMS`; stages in any case.
            feed: named in the command that an error proposes.

        Raises:
            RegistryError: no answer in bounded time, or no such version; says what there is.
        """
        if uri.startswith(STORE):
            return resolve_stored(self._store, uri)
        with self._connection.reaching() as client:
            from mlflow.exceptions import MlflowException

            try:
                return resolve_uri(client, uri)
            except (MlflowException, LookupError) as error:
                if getattr(error, "error_code", "NOT_FOUND") not in NOT_THERE:
                    raise
                raise RegistryError(self._what_exists(client, uri, feed)) from error

    def download(self, ref: ModelRef, folder: Path) -> Path:
        """The model's files, verified, in a folder of their own under `folder`: whole or not there.

        1. The settings must accept the version.  2. A folder that still is what the manifest says is used again.
        3. Else the files are fetched beside it,  4. verified and judged,  5. and take its place.

        Raises:
            ContractError: no manifest where one is wanted, files that are not as it says, or a model that the settings
                do not allow; nothing that could be loaded is left.
            RegistryError: the artifacts cannot be read, or are no MLflow model.
        """
        # 1
        wanted = wanted_manifest(ref, self._connection.models)
        made = hashlib.sha256(f"{ref.source}\n{ref.run_id}".encode()).hexdigest()[:8]  # a registry made anew: other
        name = quote(ref.name, safe="").replace("%", "=")[:NAME_LENGTH]  # MLflow decodes a percent sign in a path
        target = folder / f"{name}-{ref.version}-{made}"
        # 2
        with contextlib.suppress(OSError):
            os.utime(target)  # maintenance removes what was not used for long
        if wanted and target.is_dir() and take_manifest(target) == wanted:
            assert_folder_loadable(target, ref.title, self._connection.models)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            # 3
            found = self.fetch(ref, Path(temporary, "new"))
            # 4
            manifest = take_manifest(found)
            if wanted:
                wanted.assert_same(manifest, ref.title)
            assert_folder_loadable(found, ref.title, self._connection.models)
            # 5
            try:
                if target.is_dir():
                    target.rename(Path(temporary, "old"))
                found.rename(target)
            except OSError:
                if not target.is_dir():  # unless somebody else was faster
                    raise
        return target

    def mlmodel(self, ref: ModelRef) -> dict[str, Any]:
        """The `MLmodel` file of a version, and nothing else of it.

        Raises:
            ContractError: it does not say what an MLflow model is.
            RegistryError: it cannot be read.
        """
        with tempfile.TemporaryDirectory() as temporary:
            return parse_mlmodel(self.fetch(ref, Path(temporary), "MLmodel").read_bytes(), ref.title)

    def fetch(self, ref: ModelRef, folder: Path, file: str = "") -> Path:
        """The model's files, or one of them, as they are now in the artifact store; each request in bounded time.

        They are neither verified nor judged: `download` does that.

        Raises:
            RegistryError: they cannot be read, or are no MLflow model.
        """
        folder.mkdir(exist_ok=True)
        try:
            if ref.is_stored:
                found = self._store.fetch(find(self._store, ref.name, ref.version), folder, file)
            else:
                found = self._connection.fetch(partial(artifact_location, ref=ref), ref.artifact_uri, file, folder)
        except Exception as error:  # each artifact store's client raises what it likes
            msg = (
                f"the files of model {ref.title} cannot be read: {root_cause(error)}; "
                f"start what keeps the artifacts or put them back, then: streamscore doctor"
            )
            raise RegistryError(msg) from error
        if not (found if file else found / "MLmodel").is_file():
            msg = (
                f"the files of model {ref.title} ({ref.artifact_uri}) are no MLflow model: no file 'MLmodel' there; "
                f"put it back, or give one of {FORMS}"
            )
            raise RegistryError(msg)
        return found

    def metrics(self, ref: ModelRef) -> dict[str, float]:
        """What was measured of a version: of its run, or of the version in the store."""
        if ref.is_stored:
            return dict(find(self._store, ref.name, ref.version).metrics)
        with self._connection.reaching() as client:
            return run_metrics(client, ref.run_id)

    def history(self, name: str) -> list[Promotion]:
        """The promotions of a model, oldest first; those of other tools are not in it.

        Raises:
            RegistryError: no such model, or no answer.
        """
        with self._connection.reaching() as client:
            return promotions(name, client.get_registered_model(name).tags)

    def heads(self) -> dict[str, Head]:
        """What the aliases and stages of all registered models stand for, by name of the model."""
        with self._connection.reaching() as client:
            return find_heads(client)

    def in_production(self, name: str) -> str | None:
        """The version in Production, by its alias, else by its stage; None if there is none."""
        with self._connection.reaching() as client:
            found = list(all_versions(client, name))
            if found and (version := client.get_registered_model(name).aliases.get(ALIAS)):
                return str(version)
            return next((str(v.version) for v in found if v.current_stage == STAGE), None)

    def version(self, name: str, number: str) -> VersionInfo:
        """One version of a registered model.

        Raises:
            RegistryError: no such version, or no answer.
        """
        with self._connection.reaching() as client:
            aliases = client.get_registered_model(name).aliases
            return version_info(client, client.get_model_version(name, number), aliases)

    def versions_tagged(self, name: str, tag: str, value: str) -> list[VersionInfo]:
        """The versions of a model with that value of a tag, newest first; none if there is no such model."""
        return self._versions(name, tag, value)

    def run_file(self, run_id: str, name: str) -> str | None:
        """The text of an artifact of a run; None if the run has none of that name.

        Raises:
            RegistryError: no such run, or no answer.
        """
        try:
            with (
                self._connection.store_variables(),
                self._connection.reaching() as client,
                tempfile.TemporaryDirectory() as temporary,
            ):
                if not any(file.path == name for file in client.list_artifacts(run_id)):
                    return None
                return Path(client.download_artifacts(run_id, name, temporary)).read_text("utf-8")
        except RegistryError:
            raise
        except Exception as error:  # each artifact store's client raises what it likes
            msg = (
                f"'{name}' of run {run_id} cannot be read: {root_cause(error)}; "
                f"start what keeps the artifacts, then: streamscore doctor"
            )
            raise RegistryError(msg) from error

    def versions(self, name: str) -> list[VersionInfo]:
        """All versions of a model, newest first.

        Raises:
            RegistryError: no such model, or no answer.
        """
        found = self._versions(name)
        if not found:
            with self._connection.reaching() as client:
                raise RegistryError(self._what_exists(client, f"models:/{name}/latest", "FEED"))
        return found

    def _versions(self, name: str, tag: str = "", value: str = "") -> list[VersionInfo]:
        with self._connection.reaching() as client:
            found = [v for v in all_versions(client, name) if not tag or v.tags.get(tag) == value]
            aliases = client.get_registered_model(name).aliases if found else {}
            return [version_info(client, version, aliases) for version in sorted(found, key=lambda v: -int(v.version))]

    def _what_exists(self, client: "MlflowClient", uri: str, feed: str) -> str:
        where = self._connection.registry_uri
        train = f"streamscore train {feed} --promote"
        name = uri_parts(uri)[0] if uri.startswith("models:/") else ""
        if name and (found := self._versions(name)):
            marks = [(v.version, v.stage if v.stage != "None" else "", *v.aliases) for v in found[:10]]
            listed = ["v" + " ".join(filter(None, mark)) for mark in marks]
            return (
                f"no {uri} in {where}: '{name}' has {', '.join(listed)}; "
                f"next: streamscore promote {shlex.quote(name)} {found[0].version}, or: {train}"
            )
        models = ", ".join(f"'{model.name}'" for model in client.search_registered_models(max_results=10)) or "none"
        return f"no {uri} in {where}: models there: {models}; a model URI is {FORMS}; next: {train}"
