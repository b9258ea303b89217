"""What a store says of a version: the content of its `version.json`, whose being there is what makes it a version."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from schemas.errors import ContractError, SettingsError
from streamscore.registry.manifest import ModelManifest
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.store.semantic import SemanticVersion

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
FORMAT = 1  # of version.json


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows that a version was trained on.

    Attributes:
        source: where they were: a path or a URI, or how they were made.
        digest: SHA-256 of the file; of a folder, of what training read there.
        rows: None if nobody said.
        file: name of the file that the store keeps of them; empty: none.
        sha256: of that file; `size` are its bytes.
    """

    source: str = ""
    digest: str = ""
    rows: int | None = None
    file: str = ""
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version in a store.

    Attributes:
        manifest: of the model's files.
        origin: the URI or folder that it was taken from.
        run_id: the MLflow run that made it; empty where none did.
        signature: as the `MLmodel` file has it; None if it has none.
        metadata: of the model, from its `MLmodel` file.
        tags: what else is known of it: feed, code, gate.
    """

    name: str
    version: SemanticVersion
    manifest: ModelManifest
    created: datetime
    created_by: str
    origin: str = ""
    run_id: str = ""
    signature: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: TrainingData = TrainingData()

    @property
    def model(self) -> ModelVersion:
        """As predictions name it."""
        return ModelVersion(self.name, str(self.version), self.run_id)

    @property
    def files_folder(self) -> str:
        """Where its files are, in its folder; by their digest, so that of two pushes neither changes the other's."""
        return f"model-{self.manifest.digest[:16]}"

    @property
    def data_folder(self) -> str:
        """Where the file of its training data is, in its folder."""
        return f"data-{self.data.sha256[:16]}"

    def to_json(self) -> bytes:
        """The content of `version.json`; the same for the same version."""
        said = {
            "format": FORMAT,
            "name": self.name,
            "version": str(self.version),
            "digest": self.manifest.digest,
            "created": self.created.isoformat(timespec="seconds"),
            "created_by": self.created_by,
            "origin": self.origin,
            "run_id": self.run_id,
            "signature": self.signature,
            "metadata": dict(self.metadata),
            "metrics": dict(self.metrics),
            "tags": dict(self.tags),
            "data": asdict(self.data),
            "files": {name: list(self.manifest.files[name]) for name in sorted(self.manifest.files)},
        }
        return json.dumps(said, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Self:
        """A version by its `version.json`.

        Raises:
            ContractError: it is not what `to_json` wrote, or names a file outside of the version's folder.
        """
        try:
            said = json.loads(content)
            if said["format"] != FORMAT:
                msg = f"it has format {said['format']}, this release reads {FORMAT}"
                raise ValueError(msg)
            manifest = ModelManifest({name: (str(sha256), int(size)) for name, (sha256, size) in said["files"].items()})
            data = TrainingData(**said["data"])
            if manifest.digest != said["digest"]:
                msg = f"its files have the digest {manifest.digest[:12]}…, it says {str(said['digest'])[:12]}…"
                raise ValueError(msg)
            if outside := next((name for name in [*manifest.files, data.file] if name and not _is_inside(name)), None):
                msg = f"it names '{outside}', which is not in its folder"
                raise ValueError(msg)
            return cls(
                name=str(said["name"]),
                version=SemanticVersion.parse(said["version"]),
                manifest=manifest,
                created=datetime.fromisoformat(said["created"]),
                data=data,
                **{key: said[key] for key in ("created_by", "origin", "run_id", "signature", "metadata", "metrics")},
                tags={str(key): str(value) for key, value in said["tags"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
            msg = f"{where} is not what streamscore wrote: {error!s:.200}; put it back, or use another version"
            raise ContractError(msg) from error


def assert_name(name: str) -> None:
    """Refuse a name that is no name of one folder everywhere.

    Raises:
        SettingsError: says which letters it may have.
    """
    if not NAME.fullmatch(name):
        msg = f"model name '{name[:100]}': wanted letters, digits, '.', '_' and '-', the first one a letter or digit"
        raise SettingsError(msg)


def _is_inside(name: str) -> bool:
    return not name.startswith(("/", "~")) and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))
