"""What was raised in a Python of Spark's (the source, a worker, a callback), out of what Spark says of it."""

import errno
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemas import errors
from schemas.errors import StorageError, StreamscoreError

TRACEBACK = "Traceback (most recent call last):"
OF_JAVA = "An error occurred while calling "
_FRAME = re.compile(r'  File "(.+)", line (\d+), in .+')
_RAISED = re.compile(r"(?:\w+\.)*(\w+)(?:: (.*))?")
_OURS = re.compile(rf"{re.escape(errors.__name__)}\.(\w+): (.+)")
_OF_SYSTEM = re.compile(r"\[Errno (\d+)\] ([^:]*)(?:: '(.*)')?")
_STATE = re.compile(r"( SQLSTATE: \w+)+$")
_OPEN_FILES = "raise the limit on open files: ulimit -n 4096"
_ROOM = "make room there: df -h {file}"
_GRANT = "grant it: ls -ld {file}"
FIXES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _GRANT,
    errno.EPERM: _GRANT,
    errno.EROFS: _GRANT,
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
}


@dataclass(frozen=True, slots=True)
class Raised:
    """The last line of a traceback, and where it was."""

    kind: str
    message: str
    file: str
    line: str


def raised_in_python(said: str) -> StreamscoreError | None:
    """Our own error if one was raised there, else a `StorageError` of what the system said; None of anything else."""
    for name, message in reversed(_OURS.findall(said)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, StreamscoreError):
            return kind(_STATE.sub("", message))
    raised = list(_raised(said))
    found = _OF_SYSTEM.match(raised[-1].message) if raised else None
    return StorageError(_of_system(int(found[1]), found[2], found[3] or "")) if found else None


def unexpected_in_python(said: str) -> str:
    """What was raised there and where, in one line; empty if there is no traceback."""
    for last in reversed(list(_raised(said))):
        what = f"{last.kind}: {last.message}" if last.message else last.kind
        return f"its Python raised {what} in {last.file}, line {last.line}"
    return ""


def _of_system(number: int, said: str, file: str) -> str:
    name, where = errno.errorcode.get(number, "unknown"), f"{file}: " if file else ""
    fix = FIXES.get(number, "look at it: ls -ld {file}" if file else "the whole story: --debug")
    fix = fix.format(file=shlex.quote(file) if file else "").rstrip()
    return f"Spark's Python: {where}{said} (errno {number}, {name}); {fix}, then start again"


def _raised(said: str) -> Iterator[Raised]:
    """Of each traceback in a text, what was raised; the text may go on in the line of the last one."""
    frame: tuple[str, str] | None = None  # of the traceback that the line is in, the last until now
    java: Raised | None = None  # what Java said is in the next line
    for line in said.splitlines():
        if java:
            yield replace(java, message=line.removeprefix(": "))
            java = None
        if line.rstrip().endswith(TRACEBACK):
            frame = "", ""
        elif frame is not None and (inside := _FRAME.fullmatch(line)):
            frame = inside[1], inside[2]
        elif frame is not None and not line[:1].isspace() and (found := _RAISED.fullmatch(_STATE.sub("", line))):
            raised = Raised(found[1], (found[2] or "").strip(), *frame)
            frame = None
            if raised.message.startswith(OF_JAVA):
                java = raised
            else:
                yield raised
