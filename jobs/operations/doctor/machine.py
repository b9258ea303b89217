"""Java, Python, packages and jars: what `make setup` prepares."""

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from jobs.operations.doctor.result import Check
from schemas.errors import SettingsError
from schemas.settings import PACKAGED, Spark
from streamscore.spark.before_start import Machine, findings
from streamscore.spark.session import ROOT, project_jars

JAVA = (17, 21)
NAMED = ("pyspark", "delta-spark", "mlflow", "pandas", "pyarrow", "deltalake")  # the others only where they do not fit
INSTALL = {
    "apt-get": "sudo apt-get install openjdk-17-jre-headless",
    "dnf": "sudo dnf install java-17-openjdk-headless",
    "brew": "brew install openjdk@17",
}
BAD = SettingsError.exit_code
SETUP = f"make -C {ROOT} setup"


def check_machine(machine: Machine, spark: Spark) -> list[Check]:
    """All of them; the limits as a start looks at them, Java by starting it."""
    started = [check_java(machine.environment), check_python(), check_packages(), check_jars()]
    found = [finding for finding in findings(machine, spark) if finding.name != "java"]
    return started + [Check(one.name, not one.fix, one.found, one.fix, BAD if one.fix else 0) for one in found]


def check_java(environment: Mapping[str, str]) -> Check:
    """The Java that Spark will start: JAVA_HOME's if it is set, else the first on PATH."""
    home, path = environment.get("JAVA_HOME", ""), environment.get("PATH")
    on_path = shutil.which("java", path=path)
    java = f"{home}/bin/java" if home else on_path
    origin = "JAVA_HOME" if home else "PATH"
    if java is None:
        return Check("java", False, f"no java on PATH, wanted {_wanted()}", _install(path), BAD)
    found = _java_version(java)
    if found in JAVA:
        return Check("java", True, f"{found}, {java} ({origin})")
    other = home and on_path and _java_version(on_path) in JAVA
    said = f"Java {found}" if found else "no Java that starts"
    fix = "unset JAVA_HOME" if other else _install(path)
    return Check("java", False, f"{said} in {java} ({origin}), wanted {_wanted()}", fix, BAD)


def check_python() -> Check:
    """This Python, which is the workers' too."""
    found = f"{platform.python_version()}, {sys.executable}"
    try:
        wanted = metadata("streamscore")["Requires-Python"] or ""
    except PackageNotFoundError:
        wanted = ""
    if SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        return Check("python", True, found)
    return Check("python", False, f"{found}, wanted {wanted}", f"{SETUP} PYTHON=python3.12", BAD)


def check_packages() -> Check:
    """Whether the installed packages are those that were pinned, and fit each other."""
    try:
        wanted = list(_requirements("streamscore"))
    except PackageNotFoundError:
        return Check("packages", False, "streamscore is not installed in this Python", SETUP, BAD)
    problems = list(_problems("streamscore", wanted))
    for requirement in wanted:
        try:
            problems += _problems(requirement.name, _requirements(requirement.name))
        except PackageNotFoundError:
            continue  # it is among the problems already
    if problems:
        return Check("packages", False, "; ".join(dict.fromkeys(problems)), SETUP, BAD)
    return Check("packages", True, ", ".join(f"{name} {version(name)}" for name in NAMED))


def check_jars() -> Check:
    """Whether the jars are there, with the content that was pinned."""
    try:
        jars = project_jars(with_store=True)
    except SettingsError as error:
        return Check("jars", False, str(error).partition(";")[0], SETUP, BAD)
    folder = jars[0].parent
    for line in (PACKAGED / "jars" / "SHA256SUMS").read_text("utf-8").splitlines():
        digest, name = line.split()
        if folder / name not in jars:
            return Check("jars", False, f"no {name}, wanted it as conf/jars/SHA256SUMS names it", SETUP, BAD)
        if _sha256(folder / name) != digest:
            fix = f"rm -r {folder} && {SETUP}"
            return Check("jars", False, f"{folder / name} is another file than conf/jars/SHA256SUMS names", fix, BAD)
    of_store = [jar for jar in jars if jar.parent != folder]
    names = ", ".join(jar.name for jar in jars if jar.parent == folder)
    return Check("jars", True, f"{names}, and {len(of_store)} for the object store")


def _java_version(java: str) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(said[1]) if said and not done.returncode else None


def _wanted() -> str:
    return " or ".join(str(version) for version in JAVA)


def _install(path: str | None) -> str:
    return next((line for tool, line in INSTALL.items() if shutil.which(tool, path=path)), INSTALL["apt-get"])


def _requirements(name: str) -> Iterator[Requirement]:
    """What a package wants here, its extras left out."""
    for line in requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _problems(name: str, wanted: Iterator[Requirement] | list[Requirement]) -> Iterator[str]:
    for requirement in wanted:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"no {requirement.name}, wanted {requirement.specifier or 'any'} by {name}"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement.name} {found}, wanted {requirement.specifier} by {name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
