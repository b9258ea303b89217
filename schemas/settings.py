"""Settings: flag > environment (`STREAMSCORE_…`) > `conf/<profile>.yaml` > default. Typed; unknown keys are refused.

Built once at the edge by `load_settings` and handed down; nothing below reads the environment.
Secrets are never settings: they come from the environment or the cloud's own chain.
"""

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource
from pydantic_settings import SettingsError as NotJson

from schemas.errors import FeedError, SettingsError
from schemas.feed import first_problem
from schemas.kubernetes import is_of_service
from schemas.settings_blocks import (
    Metrics,
    Models,
    Registry,
    RequestLog,
    Spark,
    Storage,
    Store,
    Streaming,
    Tables,
    Testing,
)
from schemas.settings_online import Key, Routing, Serving
from schemas.yaml_text import read_yaml

__all__ = [
    "PACKAGED",
    "Key",
    "Metrics",
    "Models",
    "Registry",
    "RequestLog",
    "Routing",
    "Serving",
    "Settings",
    "Spark",
    "Storage",
    "Store",
    "Streaming",
    "Tables",
    "Testing",
    "as_variables",
    "load_settings",
    "profile_path",
]
PACKAGED = Path(__file__).parent.parent / "conf"
PREFIX = "STREAMSCORE_"
NOT_PROFILES = {"alerts", "routes"}  # other files in conf/
NOT_SETTINGS = frozenset({"PROFILE", "FAIL_AT", "PID_FILE", "WISHES"})  # read elsewhere


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_parse_none_str="null", extra="forbid", frozen=True
    )

    profile: str = Field("local", description="The name of a file `conf/<profile>.yaml`.")
    landing: str = Field(
        "var/landing/{feed}", description="The folder that CSV files land in, or `s3://BUCKET/PREFIX`."
    )
    checkpoint: str = Field(
        "var/checkpoints/{feed}", description="The folder of the stream's checkpoint, or `s3://BUCKET/PREFIX`."
    )
    scratch: str = Field(
        "var/scratch/{feed}",
        description="A folder on this machine for model versions. It is used if the checkpoint is in an object store.",
    )
    model_uri: str = Field("", description="A model URI that takes the place of the feed's `model`.")
    storage: Storage = Storage()
    registry: Registry = Registry()
    store: Store = Store()
    models: Models = Models()
    tables: Tables = Tables()
    streaming: Streaming = Streaming()
    spark: Spark = Spark()
    metrics: Metrics = Metrics()
    routing: Routing = Routing()
    serving: Serving = Serving()
    request_log: RequestLog = RequestLog()
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
    path = profile_path(profile)
    _assert_profile(path)
    _refuse_unknown_variables()

    class OfProfile(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return OfProfile(**_nested(flags or {}) | {"profile": profile})
    except NotJson as error:
        msg = f'{_variable_of(error)}, wanted JSON, as \'{{"a": "b"}}\' or \'["a"]\'; see docs/settings.md'
        raise SettingsError(msg) from error
    except ValidationError as error:
        msg = f"setting {first_problem(error, Settings)} (flags, {PREFIX}* or {path}); see docs/settings.md"
        raise SettingsError(msg) from error


def as_variables(block: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Keys of a block as variables, with which another process gets the same values."""
    return {
        f"{PREFIX}{block}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }


def profile_path(profile: str) -> Path:
    """The file of a profile.

    Raises:
        SettingsError: there is none.
    """
    folders = [Path.cwd() / "conf", PACKAGED]
    for folder in folders:
        if (path := folder / f"{profile}.yaml").is_file():
            return path
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")} - NOT_PROFILES)
    near = difflib.get_close_matches(profile, known, 1)
    msg = (
        f"no profile '{profile}': {f'did you mean {near[0]!r}? ' if near else ''}"
        f"known: {', '.join(known)}; a profile is a file conf/<profile>.yaml"
    )
    raise SettingsError(msg)


def _assert_profile(path: Path) -> None:
    """Refuse a file that holds no keys with values, or one of them twice."""
    try:
        found = read_yaml(path)
    except FeedError as error:
        raise SettingsError(str(error)) from error
    if found is not None and not (isinstance(found, dict) and all(isinstance(key, str) for key in found)):
        msg = f"{path}: found {' '.join(str(found).split())[:100]!r}, wanted keys with values, as landing: /data/in"
        raise SettingsError(msg)


def _variable_of(error: NotJson) -> str:
    """The variable that pydantic could not read, of which it names the block alone."""
    for block, field in Settings.model_fields.items():
        if f'"{block}"' in str(error):
            kind = field.annotation
            keys = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
            listed = [f"{block}__{key}" for key, of in keys.items() if get_origin(of.annotation) in (tuple, dict)]
            for name in (block, *listed):
                variable = f"{PREFIX}{name}".upper()
                if not _is_json(os.environ.get(variable, "null")):
                    return f"{variable} is no JSON"
    return str(error)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _refuse_unknown_variables() -> None:
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    for block, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            known |= {f"{block}__{name}".upper() for name in field.annotation.model_fields}
    for variable, value in os.environ.items():
        name = variable.upper().removeprefix(PREFIX)  # pydantic takes them in either case
        if name != variable.upper() and name not in known and not is_of_service(variable, value):
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
