"""Where the programs of the servers are, and how to get one that is missing.

The variable `SERVICES_PROGRAMS` names another folder to look for them, and then nowhere else is looked: with an empty
folder the machine is one without servers.
"""

import glob
import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

BUILT = Path(__file__).parents[1] / ".tools" / "bin"
Program = Literal["minio", "versitygw", "compose", "postgres", "openssl", "strace", "chromium"]


def built(name: Literal["minio", "versitygw", "compose"]) -> Path:
    """The place of a program that services/tools.sh builds."""
    return Path(os.environ.get("SERVICES_PROGRAMS", BUILT)) / name


def postgres_programs() -> str | None:
    """The folder of initdb and postgres, which Debian keeps off PATH; None if there is none."""
    if "SERVICES_PROGRAMS" in os.environ:
        return _folder_of(shutil.which("initdb", path=os.environ["SERVICES_PROGRAMS"]))
    of_debian = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return _folder_of(of_debian[-1] if of_debian else shutil.which("initdb"))


def browser() -> str | None:
    """A browser that can be driven without a screen; None if there is none."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


def missing(program: Program) -> str | None:
    """What is not on this machine and how to get it, in one line; None if it is there."""
    if program == "postgres":
        return None if postgres_programs() else "found no PostgreSQL server; install postgresql (Debian)"
    if program == "openssl":
        return None if shutil.which("openssl") else "found no openssl; install it"
    if program == "strace":
        return _cannot_trace()
    if program == "chromium":
        return None if browser() else "found no chromium; install it"
    return None if built(program).exists() else f"found no .tools/bin/{program}; make it: services/tools.sh {program}"


def _cannot_trace() -> str | None:
    if not (found := shutil.which("strace")):
        return "found no strace; install it"
    done = subprocess.run([found, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    first = (done.stderr.strip() or f"exit code {done.returncode}").partition("\n")[0]
    return f"found no way to trace ({first}); install strace where ptrace is allowed" if done.returncode else None


def _folder_of(program: str | None) -> str | None:
    return program and os.path.dirname(program)
