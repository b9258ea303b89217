"""A disk that loses what was not synced: from the system calls of a run to what a power cut leaves at any moment.

The run is recorded by strace, with all its processes. A call to sync makes safe what was there when it was asked for:
fsync the content of a file or the names in a folder, syncfs and sync everything. A file is left with the content that
was synced, if its name was, and the names of the folders above it.
"""

import codecs
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,creat,write,pwrite64,writev,ftruncate,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,rmdir,fsync,fdatasync,syncfs,sync"
)
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
PLACE = re.compile(r"(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>")
LINE = re.compile(r"(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)(.*)$", re.DOTALL)


def recorder(trace: Path) -> list[str]:
    """What to put in front of a command, to have its system calls in a file."""
    of_all = ["-f", "-y", "-qq", "-e", "signal=none", "--seccomp-bpf", "-s", str(2**24)]
    return ["strace", *of_all, "-e", f"trace={CALLS}", "-o", str(trace)]


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that succeeded; `begun` is where it was asked for, in the order of all calls' ends."""

    name: str
    arguments: str
    result: str
    begun: int

    @property
    def place(self) -> str:
        """The path behind its first descriptor."""
        found = PLACE.match(self.arguments)
        return _text(found[1]).decode() if found else ""

    @property
    def paths(self) -> list[str]:
        """The paths that it names, absolute."""
        texts = [os.fsdecode(_text(text)) for text in TEXT.findall(self.arguments)]
        above = [os.fsdecode(_text(place)) for place in PLACE.findall(self.arguments)]
        return [os.path.join(above[i] if i < len(above) else "/", text) for i, text in enumerate(texts)]

    @property
    def data(self) -> bytes:
        """What it writes."""
        return b"".join(map(_text, TEXT.findall(self.arguments)))


def recorded(trace: Path) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended."""
    open_calls: dict[str, tuple[str, str, int]] = {}
    ended = 0
    with trace.open(encoding="latin-1", newline="\n") as lines:
        for line in lines:
            if not (found := LINE.match(line)):
                continue
            process, name, resumed, rest = found.groups()
            if rest.rstrip().endswith("<unfinished ...>"):
                open_calls[process] = name, rest.rstrip().removesuffix("<unfinished ...>"), ended
                continue
            begun = ended
            if resumed:
                name, before, begun = open_calls.pop(process, (resumed, "", ended))
                rest = before + rest
            arguments, _, result = rest.rpartition(" = ")
            if result and not result.startswith(("-1", "?")):
                ended += 1
                yield Call(name, arguments.rstrip().removesuffix(")"), result.strip(), begun)


@dataclass
class Disk:
    """Files below a folder: as the processes see them, and as they are on disk.

    Attributes:
        names, kept_names: path → number of the file; those on disk.
        folders, kept_folders: paths.
        contents, kept: number → content; a file that was never synced has none on disk.
    """

    root: str
    names: dict[str, int] = field(default_factory=dict)
    kept_names: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    kept_folders: set[str] = field(default_factory=set)
    contents: dict[int, bytes] = field(default_factory=dict)
    kept: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> "Disk":
        """What lies there now, all of it safe."""
        disk = cls(str(root))
        for above, _, names in os.walk(root):
            disk.folders.add(above)
            for name in names:
                path = os.path.join(above, name)
                disk.contents[disk._make(path)] = Path(path).read_bytes()
        return disk.as_it_is()

    def as_it_is(self) -> "Disk":
        """A copy of what the processes see, all of it safe."""
        copy = Disk(self.root, names=dict(self.names), folders=set(self.folders), contents=dict(self.contents))
        copy.sync_all(copy)
        return copy

    def after_a_cut(self) -> dict[str, bytes]:
        """Path → content of each file that is left."""
        lost = {folder for folder in self.folders if not self._is_kept(folder)}
        return {
            path: self.kept.get(number, b"")
            for path, number in self.kept_names.items()
            if os.path.dirname(path) not in lost
        }

    def sync_all(self, asked: "Disk") -> None:
        """What there was when that was asked for is safe."""
        self.kept_names, self.kept_folders = dict(asked.names), set(asked.folders)
        self.kept |= asked.contents

    def sync_one(self, path: str, asked: "Disk") -> None:
        """What a path had when that was asked for is safe: the names in a folder, or a file's content."""
        if path in asked.folders:
            self.kept_names = _outside(self.kept_names, path) | _inside(asked.names, path)
            self.kept_folders -= {folder for folder in self.kept_folders if os.path.dirname(folder) == path}
            self.kept_folders |= {folder for folder in asked.folders if os.path.dirname(folder) == path}
        elif (number := asked.names.get(path)) is not None:
            self.kept[number] = asked.contents[number]

    def remove_at_once(self, folder: str) -> None:
        """What was removed from a folder is gone after a cut; what was added is not yet there."""
        self.kept_names = {
            path: number
            for path, number in self.kept_names.items()
            if os.path.dirname(path) != folder or path in self.names
        }

    def do(self, call: Call) -> None:
        """Carry out a call that changes files."""
        if call.name in ("openat", "creat"):
            self._open(call)
        elif call.name in ("write", "pwrite64", "writev"):
            self._write(call)
        elif call.name == "ftruncate":
            if (number := self.names.get(call.place)) is not None:
                self.contents[number] = self.contents[number][: int(call.arguments.rpartition(",")[2])]
        elif call.name.startswith("mkdir"):
            self.folders |= set(filter(self._is_ours, call.paths))
        elif call.name.startswith("link"):
            if (number := self.names.get(call.paths[0])) is not None:
                self.names[call.paths[1]] = number
        elif call.name.startswith("rename"):
            self._rename(*call.paths)
        else:  # unlink, rmdir
            self.names.pop(call.paths[0], None)
            self.folders.discard(call.paths[0])

    def _open(self, call: Call) -> None:
        path = os.fsdecode(_text(call.result.partition("<")[2].rpartition(">")[0]))
        if not self._is_ours(path) or ("O_CREAT" not in call.arguments and "O_TRUNC" not in call.arguments):
            return
        if path not in self.names:
            self._make(path)
        elif "O_TRUNC" in call.arguments:
            self.contents[self.names[path]] = b""

    def _write(self, call: Call) -> None:
        if (number := self.names.get(call.place)) is None:
            return
        content, data = self.contents[number], call.data[: int(call.result)]
        at = int(call.arguments.rpartition(",")[2]) if call.name == "pwrite64" else len(content)
        self.contents[number] = content[:at].ljust(at, b"\0") + data + content[at + len(data) :]

    def _rename(self, old: str, new: str) -> None:
        """Of a file or a folder, with what is in it."""
        moved = {path: new + path[len(old) :] for path in self.names if path == old or path.startswith(f"{old}/")}
        for path, to in moved.items():
            self.names[to] = self.names.pop(path)
        folders = {path for path in self.folders if path == old or path.startswith(f"{old}/")}
        self.folders = self.folders - folders | {new + path[len(old) :] for path in folders}

    def _make(self, path: str) -> int:
        number = len(self.contents)
        self.names[path], self.contents[number] = number, b""
        return number

    def _is_ours(self, path: str) -> bool:
        return path.startswith(f"{self.root}/")

    def _is_kept(self, folder: str) -> bool:
        return folder in self.kept_folders and (folder == self.root or self._is_kept(os.path.dirname(folder)))


def cuts(disk: Disk, trace: Path, landing: Path, *, names_first: bool) -> Iterator[tuple[str, dict[str, bytes]]]:
    """What a power cut leaves, path → content, after each sync, move and removal that changes it; and that call.

    Removals from the landing folder are on disk at once, although nobody asked for that: the worst case.

    Args:
        disk: as it was when the recording began.
        names_first: so are all names, as ext4 has them with the next fsync of whatever file; contents still wait for
            theirs, so that a new file is empty.
    """
    calls = list(recorded(trace))
    asked = {call.begun: disk for call in calls if "sync" in call.name}
    last = disk.after_a_cut()
    for number, call in enumerate(calls):
        if number in asked:
            asked[number] = disk.as_it_is()
        if call.name in ("syncfs", "sync"):
            disk.sync_all(asked[call.begun])
        elif "sync" in call.name:
            disk.sync_one(call.place, asked[call.begun])
        else:
            disk.do(call)
            disk.remove_at_once(str(landing))
        if names_first:
            disk.kept_names, disk.kept_folders = dict(disk.names), set(disk.folders)
        if "sync" in call.name or call.name.startswith(("rename", "unlink")):
            left = disk.after_a_cut()
            seen = {path: content for path, content in left.items() if not os.path.basename(path).startswith(".")}
            if seen != last:  # hidden files are of those who write, while they do
                last = seen
                yield f"{call.name} {call.place or call.paths}", left


def lay_out(left: dict[str, bytes], root: Path, times: dict[str, int]) -> None:
    """Make a folder hold exactly these files; `times` are those of the landed ones, by their names."""
    shutil.rmtree(root)
    for place, content in left.items():
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if path.name in times:
            os.utime(path, ns=(times[path.name],) * 2)


def _inside(names: dict[str, int], folder: str) -> dict[str, int]:
    return {path: number for path, number in names.items() if os.path.dirname(path) == folder}


def _outside(names: dict[str, int], folder: str) -> dict[str, int]:
    return {path: number for path, number in names.items() if os.path.dirname(path) != folder}


def _text(escaped: str) -> bytes:
    """A text of strace's, without its escapes."""
    return codecs.escape_decode(escaped.encode("latin-1"))[0]
