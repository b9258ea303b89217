"""Settings: flag > environment (`STREAMSCORE_…`) > `conf/<profile>.yaml` > default. Typed; unknown keys are refused.

Built once at the edge by `load_settings` and handed down; nothing below reads the environment.
Secrets are never settings: they come from the environment or the cloud's own chain.
"""

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from schemas.errors import SettingsError
from schemas.feed import first_problem

PACKAGED = Path(__file__).parent.parent / "conf"
PREFIX = "STREAMSCORE_"
NOT_SETTINGS = frozenset({"PROFILE", "FAIL_AT", "PID_FILE"})  # read elsewhere


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Registry(_Block):
    """Where models come from; empty URIs leave the choice to MLflow's own variables, then to `var/`."""

    tracking_uri: str = ""
    registry_uri: str = ""
    poll_seconds: float = Field(2.0, gt=0)
    start_without: bool = False  # registry down at the start: go on with the version that the checkpoint accepted last


class Models(_Block):
    """Which model versions may be loaded at all; judged by their files, before anything of them is imported."""

    manifest: Literal["required", "warn"] = "required"  # of SHA-256; warn: score without one, and say so
    flavors: tuple[str, ...] = ("python_function", "sklearn")
    loader_modules: tuple[str, ...] = ("mlflow.sklearn", "mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model")
    formats: tuple[str, ...] = ("skops", "code")  # how the model itself is stored; pickle and cloudpickle run anything
    skops_types: tuple[str, ...] = (  # beyond those that skops itself trusts
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )


class Tables(_Block):
    """Where the tables are, and who writes them: delta-rs, or Spark for catalogs that need it."""

    path: str = "var/tables/{feed}"
    writer: Literal["delta-rs", "delta-spark"] = "delta-rs"
    checkpoint_every: int = Field(100, gt=0)  # commits between two checkpoints of a table's log
    maintain_every: float = Field(600.0, ge=0)  # seconds between two rounds of maintenance inside a run; 0: none
    maintain_commits: int = Field(1000, gt=0)  # micro-batches that start a round before its time
    target_bytes: int = Field(64 * 2**20, ge=2**20)  # of a file that compaction makes
    keep_log_hours: float = Field(168.0, ge=1)  # of log entries that a checkpoint of the log has made superfluous
    # of files that are in the table no more, for who still reads them; Delta's log forgets them after 168
    keep_files_hours: float = Field(168.0, ge=1, le=168)


class Storage(_Block):
    """How the object store behind every `s3://` is reached; credentials come from AWS's own variables or chain."""

    endpoint: str = ""  # a URL; empty: AWS
    region: str = Field("", pattern="^[A-Za-z0-9-]*$")  # empty: AWS's variables and files, then us-east-1
    path_style: bool = False  # http://host/bucket/key instead of http://bucket.host/key
    ca_bundle: str = ""  # a PEM file of authorities to trust, instead of the system's
    retry_seconds: float = Field(300.0, ge=0)  # a micro-batch that storage fails is tried again for so long

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, given: str) -> str:
        url = urlsplit(given)
        if "@" in url.netloc:  # not repeated in the message
            raise ValueError("no place for credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
        if given and (url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query):
            raise ValueError(f"wanted http://HOST:PORT or https://HOST:PORT, found '{given}'")
        return given.rstrip("/")


class Streaming(_Block):
    """How micro-batches are cut and where they are scored."""

    mode: Literal["auto", "driver", "executors"] = "auto"
    trigger: str = "0s"
    max_files: int = Field(1000, gt=0)
    max_bytes: int = Field(256 * 2**20, gt=0)
    clean: Literal["off", "archive", "delete"] = "off"
    # auto: up to here the driver scores; above it, executors on more than one machine pay for their Spark job
    driver_bytes: int = Field(64 * 2**20, ge=0)
    chunk_rows: int = Field(65_536, gt=0)  # rows in one predict call
    full_look_seconds: float = Field(60.0, gt=0)  # between two listings of the landing folder
    list_seconds: float = Field(0.05, gt=0)  # between two LIST requests to an object store
    lease: bool = True  # one driver a checkpoint; off only for tests: two drivers then end in a conflict


class Spark(_Block):
    """Spark's own settings; `conf` is passed on as it stands."""

    master: str = "local[*]"
    driver_memory: str = "1g"
    conf: dict[str, str] = {}


class Metrics(_Block):
    """Prometheus metrics of a run; port 0 serves none."""

    port: int = Field(0, ge=0, le=65535)
    host: str = "127.0.0.1"


class Testing(_Block):
    """For tests of streamscore only."""

    fail_points: bool = False


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    profile: str = "local"
    landing: str = "var/landing/{feed}"
    checkpoint: str = "var/checkpoints/{feed}"
    scratch: str = "var/scratch/{feed}"  # model versions, where the checkpoint is in an object store
    model_uri: str = ""
    storage: Storage = Storage()
    registry: Registry = Registry()
    models: Models = Models()
    tables: Tables = Tables()
    streaming: Streaming = Streaming()
    spark: Spark = Spark()
    metrics: Metrics = Metrics()
    testing: Testing = Testing()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        profile = YamlConfigSettingsSource(settings_cls, settings_cls.model_config.get("yaml_file"))
        return init_settings, env_settings, profile


def load_settings(profile: str | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this command.

    Args:
        profile: the name of a file in `./conf` or of a packaged one; `$STREAMSCORE_PROFILE`, then `local`.
        flags: dotted keys and the values given on the command line; None means not given.

    Raises:
        SettingsError: names the flag, variable or file, what was found and wanted, and the nearest known key.
    """
    profile = profile or os.environ.get(PREFIX + "PROFILE") or "local"
    path = _profile_path(profile)
    _refuse_unknown_variables()

    class OfProfile(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return OfProfile(**_nested(flags or {}) | {"profile": profile})
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise SettingsError(
            f"setting {first_problem(error, Settings)} (flags, {PREFIX}* or {path}); see docs/settings.md"
        ) from error


def as_variables(block: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Keys of a block as variables, with which another process gets the same values."""
    return {
        f"{PREFIX}{block}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }


def _profile_path(profile: str) -> Path:
    folders = [Path.cwd() / "conf", PACKAGED]
    for folder in folders:
        if (path := folder / f"{profile}.yaml").is_file():
            return path
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    near = difflib.get_close_matches(profile, known, 1)
    raise SettingsError(
        f"no profile '{profile}': {f'did you mean {near[0]!r}? ' if near else ''}"
        f"known: {', '.join(known)}; a profile is a file conf/<profile>.yaml"
    )


def _refuse_unknown_variables() -> None:
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    for block, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            known |= {f"{block}__{name}".upper() for name in field.annotation.model_fields}
    for variable in os.environ:
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise SettingsError(
                f"unknown variable {variable}: " + (f"did you mean {PREFIX}{near[0]}?" if near else "unset it")
            )


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            block = nested
            *blocks, last = key.split(".")
            for name in blocks:
                block = block.setdefault(name, {})
            block[last] = value
    return nested
