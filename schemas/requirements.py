"""What a model was made with, against what runs here: reported, never enforced."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement


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
