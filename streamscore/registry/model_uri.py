"""Model URIs, the version that each stands for now, and what is said of versions."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streamscore.registry.model_version import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})
MANIFEST = "streamscore.manifest"  # the tag that says a version's files are listed, in the tags beside it
STORE = "store:/"  # of a model store, which needs no MLflow
FORMS = (
    "models:/NAME@ALIAS, models:/NAME/STAGE, models:/NAME/VERSION, models:/NAME/latest, runs:/RUN/PATH or "
    "store:/NAME/VERSION"
)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model version, as a URI resolved at some moment.

    Attributes:
        uri: what was resolved.
        model: the version that it stood for.
        source: where its artifacts are, in MLflow's terms.
        tags: of the version; `runs:/…` and `models:/m-…` have none.
    """

    uri: str
    model: ModelVersion
    source: str
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def version(self) -> str:
        return self.model.version

    @property
    def run_id(self) -> str:
        return self.model.run_id

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.model.title

    @property
    def promote_command(self) -> str:
        """What puts it into Production."""
        return f"streamscore promote {shlex.quote(self.name)} {self.version}"

    @property
    def registered(self) -> bool:
        """Whether it is a version of a registered model."""
        return self.uri.startswith("models:/") and not self.version.startswith("m-")

    @property
    def is_stored(self) -> bool:
        """Whether it is a version in a model store."""
        return self.uri.startswith(STORE)

    @property
    def has_manifest(self) -> bool:
        """Whether the registry says what its files are."""
        return MANIFEST in self.tags

    @property
    def artifact_uri(self) -> str:
        """Its files, whatever an alias or a stage stands for by then."""
        return f"models:/{self.name}/{self.version}" if self.registered else self.uri


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version of a registered model, for listing; `metrics` are its run's."""

    name: str
    version: str
    stage: str
    aliases: tuple[str, ...]
    created: datetime
    run_id: str
    metrics: dict[str, float]
    tags: dict[str, str]


def registered_name(uri: str) -> str:
    """The model's name in a `models:/` URI, empty for any other."""
    return uri_parts(uri)[0] if uri.startswith("models:/") else ""


def model_name(uri: str) -> str:
    """The model's name in a `models:/` or `store:/` URI, empty for any other."""
    return uri.removeprefix(STORE).partition("/")[0] if uri.startswith(STORE) else registered_name(uri)


def uri_parts(uri: str) -> tuple[str, str, str]:
    """Name, alias and suffix of a `models:/` URI; a name with no suffix is a model id."""
    name, _, suffix = uri.removeprefix("models:/").partition("/")
    if not suffix and "@" in name:
        name, _, alias = name.rpartition("@")
        return name, alias, ""
    return name, "", suffix


def resolve_uri(client: "MlflowClient", uri: str) -> ModelRef:
    """The version that a model URI stands for now.

    Raises:
        LookupError: the URI has no form that we know, or no version has that stage.
        MlflowException: no such run, model, version or alias; its `error_code` is in `NOT_THERE`.
    """
    if uri.startswith("runs:/"):
        run_id, _, path = uri.removeprefix("runs:/").partition("/")
        if not path:
            raise LookupError(uri)
        client.get_run(run_id)
        return ModelRef(uri, ModelVersion(path, run_id, run_id), uri)
    name, alias, suffix = uri_parts(uri)
    if not uri.startswith("models:/") or not name:
        raise LookupError(uri)
    if not alias and not suffix:
        model = client.get_logged_model(name)
        made = ModelVersion(model.name, name, model.source_run_id or "")
        return ModelRef(uri, made, model.artifact_location)
    found = _version(client, name, alias, suffix)
    made = ModelVersion(name, str(found.version), found.run_id or "")
    return ModelRef(uri, made, found.source or "", dict(found.tags))


def artifact_location(client: "MlflowClient", ref: ModelRef) -> str:
    """Where the files of a version are: a folder of this machine, an object store, or the tracking server's own."""
    if ref.registered:
        location = str(client.get_model_version_download_uri(ref.name, ref.version))
    elif ref.uri.startswith("runs:/"):
        location = _of_run(client, *ref.uri.removeprefix("runs:/").split("/", 1))
    else:
        location = ref.uri
    if location.startswith("models:/"):
        location = str(client.get_logged_model(location.removeprefix("models:/")).artifact_location)
    return location.rstrip("/")


def _of_run(client: "MlflowClient", run_id: str, path: str) -> str:
    """Where `runs:/RUN/PATH` is: with the model that the run logged by that name, else among the run's artifacts."""
    run, (name, _, rest) = client.get_run(run_id).info, path.partition("/")
    token = None
    while True:
        page = client.search_logged_models([run.experiment_id], filter_string=f"name = '{name}'", page_token=token)
        for model in page:
            if model.source_run_id == run_id:
                return f"{model.artifact_location}/{rest}".rstrip("/")
        if not (token := page.token):
            return f"{run.artifact_uri}/{path}"


def _version(client: "MlflowClient", name: str, alias: str, suffix: str) -> "MlflowVersion":
    if alias:
        return client.get_model_version_by_alias(name, alias)
    if suffix.isdigit():
        return client.get_model_version(name, suffix)
    wanted = [v for v in all_versions(client, name) if suffix.lower() in ("latest", (v.current_stage or "").lower())]
    if not wanted:
        raise LookupError(suffix)
    return max(wanted, key=lambda v: int(v.version))


def all_versions(client: "MlflowClient", name: str) -> Iterator["MlflowVersion"]:
    """The versions of a registered model in no order; none if there is no such model."""
    quoted = f'"{name}"' if "'" in name else f"'{name}'"
    token = None
    while True:
        page = client.search_model_versions(f"name={quoted}", max_results=1000, page_token=token)
        yield from page
        if not (token := page.token):
            return


def version_info(client: "MlflowClient", version: "MlflowVersion", aliases: Mapping[str, str]) -> VersionInfo:
    """A version with the metrics of its run; `aliases` are all of its model's, with the versions that they name."""
    return VersionInfo(
        name=version.name,
        version=str(version.version),
        stage=version.current_stage or "None",
        aliases=tuple(sorted(alias for alias, of in aliases.items() if str(of) == str(version.version))),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        run_id=version.run_id or "",
        metrics=run_metrics(client, version.run_id),
        tags=dict(version.tags),
    )


def run_metrics(client: "MlflowClient", run_id: str | None) -> dict[str, float]:
    """The last value of each metric of a run; none where there is no run."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_run(run_id).data.metrics) if run_id else {}
    except MlflowException:  # the run was deleted, the version stayed
        return {}
