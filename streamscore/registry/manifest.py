"""The manifest of a model version: what each of its files is, kept in the registry and not beside the files.

A folder of files → `ModelManifest` → tags of the version → `ModelManifest`, against which a downloaded folder is held.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ContractError
from schemas.settings import Models
from streamscore.registry.model_uri import MANIFEST, ModelRef

CHUNK = 4000  # characters; MLflow takes 5,000 in a tag, older servers less than their bytes
SHORT = 12  # letters of a digest in a message
NOT_THE_MODELS = "registered_model_meta"  # MLflow writes it where it downloads to, and never reads it


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """All files of a model: path below its folder, with `/` → SHA-256 and size in bytes."""

    files: Mapping[str, tuple[str, int]]

    @property
    def digest(self) -> str:
        """SHA-256 of the whole."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def to_tags(self) -> dict[str, str]:
        """Tags of the version, in the order to write them: the last one makes the others count."""
        text = self._text()
        chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
        return {f"{MANIFEST}.{n}": chunk for n, chunk in enumerate(chunks)} | {MANIFEST: f"{self.digest}:{len(chunks)}"}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str], model: str) -> "ModelManifest | None":
        """The manifest in a version's tags; None if it has none, or one that was never written to its end.

        Raises:
            ContractError: the tags were changed afterwards.
        """
        if MANIFEST not in tags:
            return None
        digest, _, count = tags[MANIFEST].partition(":")
        text = "".join(tags.get(f"{MANIFEST}.{n}", "") for n in range(int(count) if count.isdigit() else 0))
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            msg = (
                f"model {model}: the tags {MANIFEST}.* are not what {MANIFEST} says of them, somebody changed them; "
                f"register the model again, then promote the new version"
            )
            raise ContractError(msg)
        return cls({name: (sha256, size) for name, (sha256, size) in json.loads(text).items()})

    def assert_same(self, found: "ModelManifest", model: str) -> None:
        """Hold files against the manifest: all of them, each byte, and no file more.

        Raises:
            ContractError: names the first file that differs, what was found and what was wanted.
        """
        for name in sorted({*self.files, *found.files}):
            here, wanted = found.files.get(name), self.files.get(name)
            if here != wanted:
                msg = (
                    f"model {model}: its file '{name}' is {_said(here)}, its manifest says {_said(wanted)}; "
                    f"put back the files that were registered, or promote another version"
                )
                raise ContractError(msg)

    def _text(self) -> str:
        return json.dumps({name: self.files[name] for name in sorted(self.files)}, separators=(",", ":"))


def take_manifest(folder: Path) -> ModelManifest:
    """The manifest of a folder; what Python and MLflow left there after the download is deleted first.

    Compiled Python would be run in place of the source beside it, so nothing that is not listed may stay.

    Raises:
        ContractError: something there is neither a file nor a folder.
    """
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    (folder / NOT_THE_MODELS).unlink(missing_ok=True)
    files = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            msg = f"model folder {folder}: '{name}' is a link or a device, wanted files only; delete it"
            raise ContractError(msg)
        if path.is_file():
            with path.open("rb") as file:
                files[name] = hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    return ModelManifest(files)


def wanted_manifest(ref: ModelRef, models: Models) -> ModelManifest | None:
    """The manifest that a version's files must answer to; None where the settings let it pass without one.

    Raises:
        ContractError: it has none and the settings want one, or its tags were changed.
    """
    manifest = ModelManifest.from_tags(ref.tags, ref.title)
    if manifest or models.manifest == "warn":
        return manifest
    if ref.registered:
        msg = (
            f"model {ref.title} has no manifest of its files, the setting models.manifest is 'required'; "
            f"next: {ref.promote_command}"
        )
        raise ContractError(msg)
    msg = (
        f"{ref.uri} is no version of a registered model, only those have a manifest, and the setting models.manifest "
        f"is 'required'; register it, then: streamscore promote NAME VERSION"
    )
    raise ContractError(msg)


def _said(file: tuple[str, int] | None) -> str:
    return f"sha256 {file[0][:SHORT]}… of {file[1]:,} bytes" if file else "not there"
