"""Model versions in MLflow: where the registry is, resolving, downloading, promoting, listing.

Nothing of a model is imported or unpickled here: its files are held against the version's manifest and judged by
`MLmodel` before they get a name under which they could be loaded.

MLflow takes seconds to import, so that happens at the first call, never at import; building a `Registry` is free.
"""

import contextlib
import getpass
import hashlib
import os
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from schemas.errors import ContractError, GateError, RegistryError
from schemas.feed import Feed
from schemas.settings import Settings, load_settings
from schemas.signature import assert_contract, output_type
from streamscore.registry.allow_list import assert_folder_loadable, parse_mlmodel
from streamscore.registry.connection import Connection
from streamscore.registry.manifest import ModelManifest, take_manifest, wanted_manifest
from streamscore.registry.mlflow_module import (
    import_mlflow,
    root_cause,
    sqlite_path,
    sqlite_uri,
    without_password,
)
from streamscore.registry.model_uri import (
    FORMS,
    NOT_THERE,
    ModelRef,
    VersionInfo,
    all_versions,
    resolve_uri,
    uri_parts,
    version_info,
)
from streamscore.registry.promotions import Promotion, promotions, version_before
from streamscore.registry.requirements import requirements_differences, signature

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
CANDIDATE = "candidate"  # the alias of the newest version that passed gate and check
SETTLE_ATTEMPTS = 10  # of making the stage follow the alias, while others promote


class Registry(Connection):
    """A model registry and the tracking store beside it."""

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
        with contextlib.suppress(OSError):
            os.utime(target)  # maintenance removes what was not used for long
        if wanted and target.is_dir() and take_manifest(target) == wanted:
            assert_folder_loadable(target, ref.title, self.models)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            # 3
            found = self._fetch(ref, Path(temporary, "new"))
            # 4
            manifest = take_manifest(found)
            if wanted:
                wanted.assert_same(manifest, ref.title)
            assert_folder_loadable(found, ref.title, self.models)
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

    def promote(self, name: str, version: str, feed: Feed, by: str = "", rollback: bool = False) -> Promotion:
        """Put a version into Production, for those who follow the stage and for those who follow the alias.

        1. Its files must be those of its manifest, if it has one, and such as the settings allow; they are not loaded.
        2. Its signature must fit the feed.  3. A manifest, if it has none.  4. Tag who and when.
        5. The stage, archiving others.  6. The alias, which decides; the stage of what it names by then.
        7. The history.
        A crash between any two is repaired by promoting again. Of two promotions at once, the last alias stands.

        Args:
            rollback: what the history calls it.

        Raises:
            ContractError: model and feed do not fit, or its files may not be loaded; nothing was changed.
            RegistryError: no such version, or no answer.
        """
        ref = self.resolve(f"models:/{name}/{version}", feed.name)
        by, at = by or getpass.getuser(), datetime.now(UTC)
        previous = self.in_production(name)
        with tempfile.TemporaryDirectory() as temporary:
            # 1
            files = self._fetch(ref, Path(temporary))
            manifest, recorded = take_manifest(files), ModelManifest.from_tags(ref.tags, ref.title)
            if recorded:
                recorded.assert_same(manifest, ref.title)
            assert_folder_loadable(files, ref.title, self.models)
            asked, metadata = signature(files), parse_mlmodel((files / "MLmodel").read_bytes(), name).get("metadata")
        # 2
        assert_contract(feed, asked, ref.title, metadata)
        if feed.kind == "rows" and output_type(asked) is None:
            raise ContractError(
                f"model {ref.title} says nothing of its output, wanted a signature with outputs; "
                f"log it with infer_signature(inputs, predictions)"
            )
        # 3, 4
        who = {PROMOTED_BY: by, PROMOTED_AT: at.isoformat(timespec="seconds")}
        self.tag_version(name, version, ({} if recorded else manifest.to_tags()) | who)
        done = Promotion(name, version, previous, by, at, rollback)
        with self._reaching() as client:
            # 5
            _set_stage(client, name, version)
            # 6
            _set_alias(client, name, version)
            _settle(client, name)
            # 7
            client.set_registered_model_tag(name, *done.to_tag())
        return done

    def rollback(self, name: str, feed: Feed, by: str = "") -> Promotion:
        """Put that version into Production which was there before the current one; once more leads further back.

        Raises:
            GateError: there was none.
            ContractError, RegistryError: as `promote`.
        """
        current = self.in_production(name)
        there = {version.version for version in self.versions(name)}
        before = version_before(self.history(name), current, there) if current else None
        if before is None:
            now = f"v{current} is the first of its Production versions" if current else "none of its versions ever was"
            raise GateError(
                f"model {name} cannot be rolled back: {now} that the registry still has; "
                f"next: streamscore models {name}, then: streamscore promote {name} VERSION"
            )
        return self.promote(name, before, feed, by, rollback=True)

    def history(self, name: str) -> list[Promotion]:
        """The promotions of a model, oldest first; those of other tools are not in it.

        Raises:
            RegistryError: no such model, or no answer.
        """
        with self._reaching() as client:
            return promotions(name, client.get_registered_model(name).tags)

    def in_production(self, name: str) -> str | None:
        """The version in Production, by its alias, else by its stage; None if there is none."""
        with self._reaching() as client:
            found = list(all_versions(client, name))
            if found and (version := client.get_registered_model(name).aliases.get(ALIAS)):
                return str(version)
            return next((str(v.version) for v in found if v.current_stage == STAGE), None)

    def tag_version(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Set tags of a version, in their order."""
        with self._reaching() as client:
            for tag, value in tags.items():
                client.set_model_version_tag(name, version, tag, value)

    def make_candidate(self, name: str, version: str) -> None:
        """Give a version the alias `candidate`."""
        with self._reaching() as client:
            client.set_registered_model_alias(name, CANDIDATE, version)

    def versions_tagged(self, name: str, tag: str, value: str) -> list[VersionInfo]:
        """The versions of a model with that value of a tag, newest first; none if there is no such model."""
        return self._versions(name, tag, value)

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

    def _versions(self, name: str, tag: str = "", value: str = "") -> list[VersionInfo]:
        with self._reaching() as client:
            found = [v for v in all_versions(client, name) if not tag or v.tags.get(tag) == value]
            aliases = client.get_registered_model(name).aliases if found else {}
            return [version_info(client, version, aliases) for version in sorted(found, key=lambda v: -int(v.version))]

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


def _set_stage(client: "MlflowClient", name: str, version: str) -> None:
    with warnings.catch_warnings():  # stages are deprecated, and used on purpose beside the alias
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage(name, version, STAGE, archive_existing_versions=True)


def _set_alias(client: "MlflowClient", name: str, version: str) -> None:
    """Once more if it fails: of two first promotions at once MLflow inserts the alias for both, and one fails."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_registered_model_alias(name, ALIAS, version)
    except MlflowException:
        client.set_registered_model_alias(name, ALIAS, version)


def _settle(client: "MlflowClient", name: str) -> None:
    """Make the stage follow the alias, which somebody else may have set since."""
    for _ in range(SETTLE_ATTEMPTS):
        decided = str(client.get_model_version_by_alias(name, ALIAS).version)
        if [str(v.version) for v in all_versions(client, name) if v.current_stage == STAGE] == [decided]:
            return
        _set_stage(client, name, decided)


def signature_of(mlmodel: dict[str, Any]) -> "ModelSignature | None":
    """The signature in a `MLmodel` file; None if the model was logged without one."""
    import_mlflow()
    from mlflow.models import ModelSignature

    given = mlmodel.get("signature")
    return ModelSignature.from_dict(given) if isinstance(given, dict) else None


def open_registry(settings: Settings | None = None) -> Registry:
    """The registry of the settings; else of MLflow's own variables; else SQLite and a folder under `./var`.

    Artifacts of a database without a server lie in `mlartifacts` beside a SQLite file, else in `./var/mlartifacts`.
    Nothing is asked yet: the first method that needs the registry reaches it.

    Args:
        settings: `load_settings()` where none are given.
    """
    settings = settings or load_settings()
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
