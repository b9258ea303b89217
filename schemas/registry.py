"""Model versions in MLflow: where the registry is, resolving, downloading, promoting, listing.

Nothing of a model is imported or unpickled here: its files are held against the version's manifest and judged by
`MLmodel` before they get a name under which they could be loaded.

MLflow takes seconds to import, so that happens at the first call, never at import; building a `Registry` is free.
"""

import getpass
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from schemas.errors import ContractError, RegistryError
from schemas.feed import Feed
from schemas.manifest import Manifest, take_manifest, wanted_manifest
from schemas.mlflow_server import (
    assert_usable,
    import_mlflow,
    object_store_errors,
    root_cause,
    sqlite_path,
    sqlite_uri,
    without_password,
)
from schemas.model_uri import (
    FORMS,
    NOT_THERE,
    ModelRef,
    Promotion,
    VersionInfo,
    all_versions,
    resolve_uri,
    run_metrics,
    uri_parts,
)
from schemas.object_store import mlflow_environment
from schemas.requirements import requirements_differences, signature
from schemas.safety import judge_folder, parse_mlmodel
from schemas.settings import Models, Settings, Storage
from schemas.signature import assert_contract, output_type

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

__all__ = [
    "ModelRef",
    "Promotion",
    "Registry",
    "VersionInfo",
    "open_registry",
    "requirements_differences",
    "signature",
    "signature_of",
]

STAGE = "Production"
ALIAS = "production"
PROMOTED_BY = "streamscore.promoted_by"
PROMOTED_AT = "streamscore.promoted_at"
STORE_ATTEMPTS = "2"  # of a request for artifacts in S3, 60 s each: MLflow's client knows no shorter ones


class Registry:
    """A model registry and the tracking store beside it."""

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str,
        artifacts: str | None,
        models: Models | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri
        self.artifacts = artifacts  # URI of new experiments' artifacts; null: the server's choice
        self.models = models or Models()
        self._storage = storage or Storage()
        self._client: MlflowClient | None = None

    @contextmanager
    def active(self) -> Iterator[Any]:
        """MLflow's module, set to this registry and the settings' object store; for calls that know no other way.

        MLflow exports both URIs to the environment, where they would outrank a later default: that is undone, and so
        are the variables of the object store.
        """
        store = mlflow_environment(self._storage) | {
            "AWS_MAX_ATTEMPTS": os.environ.get("AWS_MAX_ATTEMPTS", STORE_ATTEMPTS)
        }
        names = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *store
        before = {name: os.environ.get(name) for name in names}
        with self._reaching():
            mlflow = import_mlflow()
            try:
                os.environ.update(store)
                mlflow.set_tracking_uri(self.tracking_uri)
                mlflow.set_registry_uri(self.registry_uri)
                yield mlflow
            finally:
                for name, value in before.items():
                    os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def resolve(self, uri: str, feed: str = "FEED") -> ModelRef:
        """The version that a model URI stands for now; one or two small queries, cheap enough for every 2 seconds.

        Args:
            uri: any of `FORMS`; stages in any case.
            feed: named in the command that an error proposes.

        Raises:
            RegistryError: no answer in bounded time, or no such version; says what there is.
        """
        with self._reaching() as client:
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
        wanted = wanted_manifest(ref, self.models)
        made = hashlib.sha256(f"{ref.source}\n{ref.run_id}".encode()).hexdigest()[:8]  # a registry made anew: other
        target = folder / f"{quote(ref.name, safe='')}-{ref.version}-{made}"
        # 2
        if wanted and target.is_dir() and take_manifest(target) == wanted:
            judge_folder(target, ref.title, self.models)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            # 3
            found = self._fetch(ref, Path(temporary, "new"))
            # 4
            manifest = take_manifest(found)
            if wanted:
                wanted.assert_same(manifest, ref.title)
            judge_folder(found, ref.title, self.models)
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
            return parse_mlmodel(self._fetch(ref, Path(temporary), "MLmodel").read_bytes(), ref.title)

    def _fetch(self, ref: ModelRef, folder: Path, file: str = "") -> Path:
        """The model's files, or one of them, as they are now in the artifact store; each request in bounded time."""
        folder.mkdir(exist_ok=True)
        try:
            with self.active() as mlflow:
                uri = f"{ref.artifact_uri}/{file}" if file else ref.artifact_uri
                found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        except Exception as error:  # each artifact store's client raises what it likes
            raise RegistryError(
                f"the files of model {ref.title} cannot be read: {root_cause(error)}; "
                f"start what keeps the artifacts or put them back, then: streamscore doctor"
            ) from error
        if not (found if file else found / "MLmodel").is_file():
            raise RegistryError(
                f"the files of model {ref.title} ({ref.artifact_uri}) are no MLflow model: no file 'MLmodel' there; "
                f"put it back, or give one of {FORMS}"
            )
        return found

    def promote(self, name: str, version: str, feed: Feed, by: str = "") -> Promotion:
        """Put a version into Production, for those who follow the stage and for those who follow the alias.

        1. Its files must be those of its manifest, if it has one, and such as the settings allow; they are not loaded.
        2. Its signature must fit the feed.  3. A manifest, if it has none.  4. Tag who and when.
        5. The stage, archiving others.  6. The alias.
        A crash between any two is repaired by promoting again.

        Raises:
            ContractError: model and feed do not fit, or its files may not be loaded; nothing was changed.
            RegistryError: no such version, or no answer.
        """
        ref = self.resolve(f"models:/{name}/{version}", feed.name)
        by, at = by or getpass.getuser(), datetime.now(UTC)
        previous = next((v.version for v in self._versions(name) if ALIAS in v.aliases or v.stage == STAGE), None)
        with tempfile.TemporaryDirectory() as temporary:
            # 1
            files = self._fetch(ref, Path(temporary))
            manifest, recorded = take_manifest(files), Manifest.from_tags(ref.tags, ref.title)
            if recorded:
                recorded.assert_same(manifest, ref.title)
            judge_folder(files, ref.title, self.models)
            asked, metadata = signature(files), parse_mlmodel((files / "MLmodel").read_bytes(), name).get("metadata")
        # 2
        assert_contract(feed, asked, ref.title, metadata)
        if feed.kind == "rows" and output_type(asked) is None:
            raise ContractError(
                f"model {ref.title} says nothing of its output, wanted a signature with outputs; "
                f"log it with infer_signature(inputs, predictions)"
            )
        tags = {PROMOTED_BY: by, PROMOTED_AT: at.isoformat(timespec="seconds")}
        with self._reaching() as client:
            # 3, 4
            for tag, value in (({} if recorded else manifest.to_tags()) | tags).items():
                client.set_model_version_tag(name, version, tag, value)
            # 5
            with warnings.catch_warnings():  # stages are deprecated, and used on purpose beside the alias
                warnings.simplefilter("ignore", FutureWarning)
                client.transition_model_version_stage(name, version, STAGE, archive_existing_versions=True)
            # 6
            client.set_registered_model_alias(name, ALIAS, version)
        return Promotion(name, version, previous, by, at)

    def add_version(self, name: str, model_id: str, run_id: str, tags: dict[str, str]) -> str:
        """Register a logged model as the next version of `name`, which is made if need be; returns its number.

        The manifest of its files is part of the same request: no version is there without it.
        """
        source = f"models:/{model_id}"
        with tempfile.TemporaryDirectory() as temporary:
            logged = ModelRef(source, name, model_id, run_id, source)
            tags = tags | take_manifest(self._fetch(logged, Path(temporary))).to_tags()
        with self._reaching() as client:
            from mlflow.exceptions import MlflowException

            try:
                client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            return str(client.create_model_version(name, source, run_id, tags=tags, model_id=model_id).version)

    def versions(self, name: str) -> list[VersionInfo]:
        """All versions of a model, newest first.

        Raises:
            RegistryError: no such model, or no answer.
        """
        found = self._versions(name)
        if not found:
            with self._reaching() as client:
                raise RegistryError(self._what_exists(client, f"models:/{name}/latest", "FEED"))
        return found

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be with its artifacts beside the registry."""
        with self._reaching() as client:
            from mlflow.exceptions import MlflowException

            if found := client.get_experiment_by_name(name):
                return str(found.experiment_id)
            location = f"{self.artifacts}/{name}" if self.artifacts else None
            try:
                return str(client.create_experiment(name, location))
            except MlflowException as error:
                if error.error_code == "RESOURCE_ALREADY_EXISTS" and (found := client.get_experiment_by_name(name)):
                    return str(found.experiment_id)  # somebody else was faster
                raise

    @contextmanager
    def _reaching(self) -> Iterator["MlflowClient"]:
        """MLflow's client; whatever it raises becomes a `RegistryError` in one line."""
        mlflow = import_mlflow()
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._client is None:
                assert_usable(self.tracking_uri)
                assert_usable(self.registry_uri)
                self._client = mlflow.MlflowClient(self.tracking_uri, self.registry_uri)
            yield self._client
        except (
            mlflow.exceptions.MlflowException,
            RequestException,
            SQLAlchemyError,
            OSError,
            *object_store_errors(),
        ) as error:
            raise RegistryError(
                f"the registry at {without_password(self.registry_uri)} does not answer as it should: "
                f"{root_cause(error)}; start it or set MLFLOW_TRACKING_URI, then: streamscore doctor"
            ) from error

    def _versions(self, name: str) -> list[VersionInfo]:
        with self._reaching() as client:
            found = list(all_versions(client, name))
            aliases = client.get_registered_model(name).aliases if found else {}
            return [
                VersionInfo(
                    name=name,
                    version=str(version.version),
                    stage=version.current_stage or "None",
                    aliases=tuple(sorted(alias for alias, of in aliases.items() if str(of) == str(version.version))),
                    created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
                    run_id=version.run_id or "",
                    metrics=run_metrics(client, version.run_id),
                    tags=dict(version.tags),
                )
                for version in sorted(found, key=lambda v: -int(v.version))
            ]

    def _what_exists(self, client: "MlflowClient", uri: str, feed: str) -> str:
        where = without_password(self.registry_uri)
        train = f"streamscore train {feed} --promote"
        name = uri_parts(uri)[0] if uri.startswith("models:/") else ""
        if name and (found := self._versions(name)):
            marks = [(v.version, v.stage if v.stage != "None" else "", *v.aliases) for v in found[:10]]
            listed = ["v" + " ".join(filter(None, mark)) for mark in marks]
            return (
                f"no {uri} in {where}: '{name}' has {', '.join(listed)}; "
                f"next: streamscore promote {name} {found[0].version}, or: {train}"
            )
        models = ", ".join(f"'{model.name}'" for model in client.search_registered_models(max_results=10)) or "none"
        return f"no {uri} in {where}: models there: {models}; a model URI is {FORMS}; next: {train}"


def signature_of(mlmodel: dict[str, Any]) -> "ModelSignature | None":
    """The signature in a `MLmodel` file; null if the model was logged without one."""
    import_mlflow()
    from mlflow.models import ModelSignature

    given = mlmodel.get("signature")
    return ModelSignature.from_dict(given) if isinstance(given, dict) else None


def open_registry(settings: Settings) -> Registry:
    """The registry of the settings; else of MLflow's own variables; else SQLite and a folder under `./var`.

    Artifacts of a database without a server lie in `mlartifacts` beside a SQLite file, else in `./var/mlartifacts`.
    """
    var = Path.cwd() / "var"
    tracking = settings.registry.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not tracking:
        var.mkdir(parents=True, exist_ok=True)
        tracking = sqlite_uri(var / "mlflow.db")
    registry = settings.registry.registry_uri or os.environ.get("MLFLOW_REGISTRY_URI", "") or tracking
    folder = None
    if tracking.startswith("sqlite:"):
        folder = (sqlite_path(tracking).parent / "mlartifacts").as_uri()
    elif "://" in tracking and not tracking.startswith(("http", "file", "databricks", "uc")):
        folder = (var / "mlartifacts").as_uri()
    return Registry(tracking, registry, folder, settings.models, settings.storage)
