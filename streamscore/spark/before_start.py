"""What a JVM needs of this machine, looked at before it is started: each finding in one line with what mends it."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SettingsError
from schemas.settings_blocks import Spark

OPEN_FILES = 1024
MEMORY_BYTES = 2**29  # of the JVM and two Pythons before the first row
ADDRESS_BYTES = 2**32  # what a JVM reserves and never uses counts here
TEMPORARY_BYTES = 2**23
HEAP_BYTES = 450 * 2**20  # Spark refuses less
CGROUP, GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
NO_LIMIT = 2**60  # version 1 writes a number that stands for none
UNITS = {"": 2**20, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}  # Spark's: without a unit, MiB


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process has of the machine.

    Attributes:
        open_files: how many it may have.
        memory: the least of the limits on it, in bytes; None: there is none.
        address_space: the same of `ulimit -v`.
        temporary: folders for temporary files of Python and of Java, and the bytes that are free there; 0 where nothing
            can be written.
    """

    environment: Mapping[str, str]
    open_files: int
    memory: int | None
    address_space: int | None
    temporary: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is, and what mends it where that is not enough."""

    name: str
    found: str
    fix: str = ""


def this_machine() -> Machine:
    """Of this process, now."""
    import resource

    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, space = resource.getrlimit(resource.RLIMIT_AS)
    return Machine(
        environment=os.environ,
        open_files=2**31 if files == resource.RLIM_INFINITY else files,
        memory=_memory_limit(),
        address_space=None if space == resource.RLIM_INFINITY else space,
        temporary={folder: _free(folder) for folder in _temporary_folders(os.environ)},
    )


def allow_open_files() -> None:
    """Let this process have as many open files as it may ask for, if it has less than a stream needs."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def assert_can_start(machine: Machine, spark: Spark) -> None:
    """Refuse a start that would fail.

    Raises:
        SettingsError: the first finding that is not enough.
    """
    for finding in findings(machine, spark):
        if finding.fix:
            msg = f"Spark cannot start: {finding.found}; {finding.fix}, then: streamscore doctor"
            raise SettingsError(msg)


def findings(machine: Machine, spark: Spark) -> Iterator[Finding]:
    """What a start depends on, in the order in which to mend it."""
    yield _java(machine.environment)
    yield _spark(machine.environment)
    yield _open_files(machine.open_files)
    yield _memory(machine, spark.conf.get("spark.driver.memory", spark.driver_memory))
    yield _temporary(machine)


def _java(environment: Mapping[str, str]) -> Finding:
    home = environment.get("JAVA_HOME", "")
    if not home:
        found = shutil.which("java", path=environment.get("PATH", os.defpath))
        fix = "" if found else "install Java 17 or 21, or set JAVA_HOME"
        return Finding("java", found or "no java on PATH and no JAVA_HOME", fix)
    java = Path(home, "bin", "java")
    if os.access(java, os.X_OK) and java.is_file():
        return Finding("java", str(java))
    return Finding("java", f"JAVA_HOME is {home}, and {java} is no program", "unset JAVA_HOME")


def _spark(environment: Mapping[str, str]) -> Finding:
    import pyspark

    if environment.get("SPARK_REMOTE") or environment.get("SPARK_API_MODE", "").lower() == "connect":
        return Finding(
            "spark",
            "SPARK_REMOTE or SPARK_API_MODE asks for Spark Connect, wanted a Spark of its own",
            "unset SPARK_REMOTE SPARK_API_MODE",
        )
    arguments = environment.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    if _last_word(arguments) != "pyspark-shell":
        return Finding(
            "spark",
            f"PYSPARK_SUBMIT_ARGS is '{arguments}', wanted options and then pyspark-shell, or options in "
            "STREAMSCORE_SPARK__CONF",
            "unset PYSPARK_SUBMIT_ARGS",
        )
    if home := environment.get("SPARK_HOME", ""):
        return _spark_home(home, pyspark.__version__)
    return Finding("spark", f"{pyspark.__version__}, {Path(pyspark.__file__).parent}")


def _spark_home(home: str, wanted: str) -> Finding:
    if not os.access(Path(home, "bin", "spark-submit"), os.X_OK):
        return Finding("spark", f"SPARK_HOME is {home}, which has no bin/spark-submit", "unset SPARK_HOME")
    versions = [path.stem.rpartition("-")[2] for path in Path(home, "jars").glob("spark-core_*.jar")]
    if versions and wanted not in versions:
        found = f"SPARK_HOME is {home}, of version {', '.join(versions)}, wanted {wanted} as in this Python"
        return Finding("spark", found, "unset SPARK_HOME")
    return Finding("spark", f"{wanted}, {home} (SPARK_HOME)")


def _open_files(most: int) -> Finding:
    if most >= OPEN_FILES:
        return Finding("files", f"{most:,} may be open")
    return Finding("files", f"{most:,} files may be open, wanted {OPEN_FILES:,} or more", f"ulimit -n {OPEN_FILES}")


def _memory(machine: Machine, heap: str) -> Finding:
    size = _bytes_of(heap)
    if size is None or size < HEAP_BYTES:
        wanted = "512m or more, such as 1g" if size else "a size such as 1g"
        found = f"spark.driver_memory is '{heap}', wanted {wanted}"
        return Finding("memory", found, "export STREAMSCORE_SPARK__DRIVER_MEMORY=1g")
    if machine.memory is not None and machine.memory < MEMORY_BYTES:
        found = f"{machine.memory / 2**20:,.0f} MiB of memory are allowed here, wanted 2 GiB"
        return Finding("memory", found, "give this container or service more memory")
    if machine.address_space is not None and machine.address_space < ADDRESS_BYTES:
        found = f"{machine.address_space / 2**20:,.0f} MiB of address space are allowed here, wanted no limit"
        return Finding("memory", found, "ulimit -v unlimited")
    allowed = "no limit" if machine.memory is None else f"{machine.memory / 2**30:,.1f} GiB are allowed"
    return Finding("memory", f"{allowed}, {heap} for the JVM")


def _temporary(machine: Machine) -> Finding:
    for folder, free in machine.temporary.items():
        if free < TEMPORARY_BYTES:
            found = (
                f"{free / 2**20:,.1f} MiB can be written in {folder} for temporary files (TMPDIR, /tmp), wanted 8 MiB"
            )
            return Finding("temporary", found, f"df -h {shlex.quote(folder)}")
    places = ", ".join(f"{free / 2**30:,.1f} GiB free in {folder}" for folder, free in machine.temporary.items())
    return Finding("temporary", places)


def _temporary_folders(environment: Mapping[str, str]) -> list[str]:
    """Python's, which is TMPDIR if that can be written, and Java's, where Spark puts what it does not keep."""
    try:
        python = tempfile.gettempdir()
    except FileNotFoundError:
        python = environment.get("TMPDIR") or "/tmp"
    spark = environment.get("SPARK_LOCAL_DIRS", "").split(",")[0] or "/tmp"
    return list(dict.fromkeys([python, spark]))


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free if os.access(folder, os.W_OK | os.X_OK) else 0
    except OSError:
        return 0


def _memory_limit() -> int | None:
    """The least limit of this process's control groups and of those above them."""
    limits = []
    for path in _limit_files():
        with suppress(OSError):
            said = path.read_text().strip()
            if said.isdigit() and int(said) < NO_LIMIT:
                limits.append(int(said))
    return min(limits, default=None)


def _limit_files() -> Iterator[Path]:
    try:
        lines = GROUPS.read_text().splitlines()
    except OSError:  # not on this system
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root, name = (CGROUP / "memory", "memory.limit_in_bytes") if controllers else (CGROUP, "memory.max")
            group = root / path.lstrip("/")
            yield from (folder / name for folder in (group, *group.parents) if folder.is_relative_to(root))


def _last_word(text: str) -> str:
    try:
        return (shlex.split(text) or [""])[-1]
    except ValueError:  # a quote without its end
        return ""


def _bytes_of(size: str) -> int | None:
    number = size.strip().lower().removesuffix("b") or "b"
    digits = number.rstrip("kmgt")
    unit = number[len(digits) :]
    return int(digits) * UNITS[unit] if digits.isdigit() and unit in UNITS else None
