"""Random entries of a folder that others write: of every kind, owner, mode, time and name, beside good files."""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.support.nobody import NOBODY

PIECES = [
    "a",
    "Z",
    "7",
    " ",
    "é",
    "€",
    "\\",
    "\\xe9",
    "%2F",
    "'",
    '"',
    "#",
    "?",
    ";",
    "&",
    "*",
    "\n",
    "\t",
    "\x1b",
    "~",
]
LATIN = os.fsdecode(b"\xe9")  # bytes that are no UTF-8
ENDINGS = [".csv", ".CSV", ".csv.gz", ".Csv.gz"]
SECONDS = [0, 1, -(2**31), 2**31, 10**9, 1_700_000_000]


@dataclass
class Hostile:
    """What was made; names relative to the folder.

    Attributes:
        good: files that are to be found, once each.
        bad: entries that are to be told, once each; a folder stands for all that is in it.
        locked: folders to be opened before they can be deleted.
    """

    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    locked: list[Path] = field(default_factory=list)


class Maker:
    """Makes entries in a folder; those of other users only as root."""

    def __init__(self, root: Path, random: Random) -> None:
        self.root, self.random, self.made = root, random, Hostile()
        self._folders = [root]
        self._number = 0

    def make(self, count: int) -> Hostile:
        """So many more entries; what they are."""
        self.made = Hostile()
        for _ in range(count):
            self.random.choice(self._kinds())()
        return self.made

    def _kinds(self) -> list[Callable[[], object]]:
        bad = [self._fifo, self._socket, self._device, self._link, self._loop, self._locked, self._other, self._hidden]
        return [self._good, self._good, self._good, self._hard_link, self._sub_folder, *bad]

    def _path(self, ending: str | None = None) -> Path:
        self._number += 1
        text = "".join(self.random.choices([*PIECES, LATIN], k=self.random.choice([0, 1, 2, 3, 8])))
        name = f"{self._number}{text}"
        ending = self.random.choice(ENDINGS) if ending is None else ending
        if self.random.random() < 0.1:
            name += "x" * (255 - len(os.fsencode(name + ending)))
        return self.random.choice(self._folders) / (name + ending)

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.root)

    def _good(self) -> Path:
        """Written elsewhere and moved in, as it should be."""
        path = self._path()
        handle, outside = tempfile.mkstemp(dir=self.root.parent)
        with os.fdopen(handle, "w") as file:
            file.write("x" * self.random.randrange(3))
        os.chmod(outside, self.random.choice([0o644, 0o444, 0o666, 0o755]))
        if os.geteuid() == 0 and self.random.random() < 0.5:
            os.chown(outside, NOBODY, NOBODY)
        with contextlib.suppress(OSError, OverflowError):
            seconds = self.random.choice([*SECONDS, int(time.time()) - 10, int(time.time()) + 10])
            os.utime(outside, (seconds, seconds))
        os.rename(outside, path)
        self.made.good.add(self._name(path))
        return path

    def _hard_link(self) -> None:
        path = self._path()
        os.link(self._good(), path)
        self.made.good.add(self._name(path))

    def _sub_folder(self) -> None:
        path = self._path(self.random.choice(["", "", ".csv"]))
        path.mkdir()
        self._folders.append(path)

    def _bad(self, path: Path) -> None:
        self.made.bad.add(self._name(path))

    def _fifo(self) -> None:
        os.mkfifo(path := self._path())
        self._bad(path)

    def _socket(self) -> None:
        home = os.getcwd()
        path = self._path()
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
            try:
                os.chdir(path.parent)  # a socket's path is short
                made.bind(os.fsencode("s"))
                os.rename("s", path)
            finally:
                os.chdir(home)
        self._bad(path)

    def _device(self) -> None:
        path = self._path()
        with contextlib.suppress(PermissionError):  # of users that are not root, or in a container
            os.mknod(path, 0o20666, os.makedev(1, 3))
            self._bad(path)

    def _link(self) -> None:
        path = self._path(self.random.choice(["", ".csv", ".txt"]))
        path.symlink_to(self.random.choice(["/etc/passwd", "/etc", ".", "..", "/", "nowhere", str(self.root)]))
        self._bad(path)

    def _loop(self) -> None:
        path = self._path()
        path.symlink_to(path.name)
        self._bad(path)

    def _locked(self) -> None:
        path = self._path("")
        (hidden := path.with_name(f".{self._number}")).mkdir()
        (hidden / "in.csv").write_text("x")
        os.chmod(hidden, self.random.choice([0o000, 0o444, 0o311]) if os.geteuid() == 0 else 0)
        hidden.rename(path)
        self.made.locked.append(path)
        self._bad(path)

    def _other(self) -> None:
        path = self._path(self.random.choice([".txt", ".csv.tmp", "", ".csv "]))
        self.random.choice(_HARMLESS[:2])(path)

    def _hidden(self) -> None:
        path = self._path()
        path = path.with_name(self.random.choice("._") + path.name[:200])
        self.random.choice(_HARMLESS)(path)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/etc")


_HARMLESS: list[Callable[[Path], object]] = [_fifo, Path.touch, Path.mkdir, _link]  # where their names are hidden
