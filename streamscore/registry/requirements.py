"""What the files of a downloaded model say: its signature, and what it was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from schemas.errors import RegistryError
from streamscore.registry.mlflow_module import import_mlflow

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def signature(path: Path) -> "ModelSignature | None":
    """The signature of a downloaded model; None if it was logged without one.

    Raises:
        RegistryError: no MLflow model is there.
    """
    import_mlflow()
    from mlflow.models import Model

    try:
        return Model.load(str(path)).signature
    except Exception as error:  # MLflow raises what its YAML reader does
        msg = f"{path} is no MLflow model: {error}; delete the folder and start again"
        raise RegistryError(msg) from error


def requirements_differences(path: Path) -> list[str]:
    """Where a downloaded model's requirements differ from the running environment, a line each; empty if nowhere.

    Python counts by minor version. Lines that pip alone understands (options, URLs) are passed over.
    """
    found = _python_difference(path / "python_env.yaml")
    listing = path / "requirements.txt"
    for line in listing.read_text("utf-8").splitlines() if listing.is_file() else []:
        try:
            requirement = Requirement(line.split(" #")[0].strip())
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            found += _difference(requirement)
    return found


def _difference(requirement: Requirement) -> list[str]:
    try:
        here = version(requirement.name)
    except PackageNotFoundError:
        return [f"{requirement.name}: the model wants {requirement.specifier or 'any version'}, none is installed"]
    if requirement.specifier.contains(here, prereleases=True):
        return []
    return [f"{requirement.name}: the model wants {requirement.specifier}, {here} is installed"]


def _python_difference(path: Path) -> list[str]:
    wanted = str((yaml.safe_load(path.read_text("utf-8")) or {}).get("python", "")) if path.is_file() else ""
    here = platform.python_version()
    if not wanted or wanted.split(".")[:2] == here.split(".")[:2]:
        return []
    return [f"python: the model was made with {wanted}, {here} runs here"]
