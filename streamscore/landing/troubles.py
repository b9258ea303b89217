"""What is wrong with single entries of a landing folder: each is told once, and kept in the checkpoint for `status`."""

import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import StorageError
from streamscore.storage.folder import Folder

NAME = "troubles.json"

# The kinds, which are the kinds of their events too.
PASSED_OVER = "passed_over"  # an entry is no file, or its folder cannot be looked into
ODD_TIME = "odd_time"  # a file is scored, with the nearest time that tables can hold
FOUND_LATE = "found_late"  # the system does not tell of new files in a folder
NOT_CLEANED_UP = "not_cleaned_up"  # a processed file stays where it is
KINDS = (PASSED_OVER, ODD_TIME, FOUND_LATE, NOT_CLEANED_UP)

KEPT = 1000  # of a kind: whoever may write into the folder may make a million
_LONGEST = 200  # characters of a name


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong with one entry.

    Attributes:
        kind: one of `KINDS`.
        name: of the entry, relative to the landing folder, printable.
        why: what was found and wanted, and what mends it.
    """

    kind: str
    name: str
    why: str

    @property
    def detail(self) -> str:
        """As one line."""
        return f"{self.name}: {self.why}"


class Troubles:
    """The troubles of a landing folder, at most `KEPT` of a kind.

    A trouble is told when it comes, whatever process finds it. One that the checkpoint holds was told by an earlier
    start. One that is over is forgotten, so that it is told when it comes back.
    """

    def __init__(self, checkpoint: Folder | None = None) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.RLock()  # of the source and its sweeper; of the driver and its early thread
        self._loaded: dict[tuple[str, str], Trouble] | None = None
        self._counts = Counter[str]()
        self._new: list[Trouble] = []
        self._over: list[Trouble] = []

    def note(self, kind: str, name: str, why: str) -> bool:
        """Something is wrong with the entry of that name; whether it is one of those that are kept."""
        trouble = Trouble(kind, printable(name), why)
        self.take([trouble], ())
        return (kind, trouble.name) in self._known

    def over(self, kind: str, names: Iterable[str]) -> None:
        """Of this kind, nothing is wrong with these any more."""
        with self._lock:
            if any(t.kind == kind for t in self._known.values()):
                gone = [self._known.get((kind, printable(name))) for name in names]
                self.take((), [trouble for trouble in gone if trouble])

    def only(self, kind: str, names: Collection[str]) -> None:
        """Of this kind, something may be wrong with these alone."""
        with self._lock:
            there = set(map(printable, names)) if self._known else set()
            self.take((), [t for t in self._known.values() if t.kind == kind and t.name not in there])

    def take(self, new: Iterable[Trouble], over: Iterable[Trouble]) -> None:
        """What another process handed over: what is wrong, and what is no longer."""
        with self._lock:
            known = self._known
            for trouble in new:
                key = trouble.kind, trouble.name
                if known.get(key) != trouble and (key in known or self._counts[trouble.kind] < KEPT):
                    self._counts[trouble.kind] += key not in known
                    known[key] = trouble
                    self._new.append(trouble)
            gone = [was for trouble in over if (was := known.pop((trouble.kind, trouble.name), None))]
            self._counts.subtract(trouble.kind for trouble in gone)
            self._over += gone

    def tell(self, say: Callable[[Sequence[Trouble], Sequence[Trouble]], bool]) -> None:
        """Hand over which are new, and which are over; where `say` gives False, the next time once more."""
        if self._new or self._over:
            with self._lock:
                if say(self._new, self._over):
                    self._new, self._over = [], []

    def keep(self) -> None:
        """Write them into the checkpoint, if that can be written: they are no more than what `status` shows."""
        if self._checkpoint is not None:
            with self._lock, contextlib.suppress(OSError, StorageError):
                self._checkpoint.write(NAME, json.dumps([asdict(t) for t in self._known.values()]).encode())

    @property
    def _known(self) -> dict[tuple[str, str], Trouble]:
        if self._loaded is None:
            kept = read_troubles(self._checkpoint) if self._checkpoint else []
            self._loaded = {(trouble.kind, trouble.name): trouble for trouble in kept}
            self._counts = Counter(trouble.kind for trouble in kept)
        return self._loaded


def read_troubles(checkpoint: Folder) -> list[Trouble]:
    """The troubles that a stream told last; none where nothing readable is kept."""
    with contextlib.suppress(OSError, StorageError, ValueError, TypeError):
        return [Trouble(**entry) for entry in json.loads(checkpoint.read(NAME) or b"[]")]
    return []


def to_message(new: Sequence[Trouble], over: Sequence[Trouble]) -> dict[str, Any]:
    """For another process, as JSON."""
    return {"troubles": [asdict(trouble) for trouble in new], "over": [asdict(trouble) for trouble in over]}


def from_message(message: Mapping[str, Any]) -> tuple[list[Trouble], list[Trouble]] | None:
    """Which are new, and which are over; None where a message is about something else."""
    if "troubles" not in message:
        return None
    return [Trouble(**entry) for entry in message["troubles"]], [Trouble(**entry) for entry in message["over"]]


def printable(name: str) -> str:
    """A name for one line of text: what is no printable character is escaped, what is long is cut in its middle."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]  # two names stay two
    return f"{text[: _LONGEST // 2]}…{digest}…{text[-_LONGEST // 4 :]}"
