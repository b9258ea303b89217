"""What the system tells of a landing folder, and of which sub-folders it does not."""

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from inotify_simple import INotify, flags

CLOSED = flags.CLOSE_WRITE | flags.MOVED_TO  # a file is complete
CAME = CLOSED | flags.CREATE
_MOVED_AWAY = flags.MOVE_SELF | flags.DELETE_SELF | flags.UNMOUNT
_WATCHED = CAME | _MOVED_AWAY | flags.ONLYDIR
_MOUNTS = "/proc/self/mountinfo"

# Names of file systems of which another machine writes the files, so that this one's inotify does not hear of them.
_REMOTE = (
    *("nfs", "cifs", "smb", "9p", "fuse", "virtiofs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "afs"),
    *("ocfs2", "gfs2", "vboxsf", "vmhgfs", "prl_fs", "drvfs"),
)

Told = Callable[[str, str], None]  # path of a folder, and why its new files are found late


class Heard(NamedTuple):
    """Something happened to an entry of a folder; without a name, to the folder itself."""

    folder: str
    name: str
    mask: int


class Ears:
    """inotify over folders, as far as it goes.

    Attributes:
        is_deaf: of some folder, or of all, the system does not tell.
    """

    def __init__(self, root: str, found_late: Told) -> None:
        self._root, self._found_late = root, found_late
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._deaf: set[str] = set()
        try:
            self._inotify: INotify | None = INotify()
        except (AttributeError, OSError):  # not Linux, or no instance left
            self._inotify = None

    @property
    def is_deaf(self) -> bool:
        return self._inotify is None or bool(self._deaf)

    def hears(self, folder: str) -> bool:
        """Whether the system tells of new files in a folder that was listened to."""
        return self._inotify is not None and folder not in self._deaf

    def begin(self) -> None:
        """All folders are going to be listened to anew: those that are gone are deaf no more."""
        self._deaf.clear()
        if self._inotify is None:
            self._found_late(self._root, "no inotify instance is left; sysctl fs.inotify.max_user_instances")

    def listen(self, folder: str) -> None:
        """Hear of a folder from now on. Listen first, list then: what comes in between is told twice, not never."""
        if self._inotify is None:
            return
        self._deaf.discard(folder)
        if is_remote(folder):
            self._deaf.add(folder)
        try:
            # the landing folder itself may be a link
            watch = self._inotify.add_watch(folder, _WATCHED | (0 if folder == self._root else flags.DONT_FOLLOW))
        except OSError as error:  # any other one is told by listing it
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self._deaf.add(folder)
                self._found_late(folder, "no inotify watch is left; sysctl fs.inotify.max_user_watches")
            return
        if (before := self._watches.get(folder, watch)) != watch:  # another folder took its place
            self._drop(before)
        self._folders[watch], self._watches[folder] = folder, watch

    def read(self, seconds: float) -> list[Heard] | None:
        """What happened, waiting for the first; None if the system could not remember all of it."""
        if self._inotify is None:
            time.sleep(max(0.0, seconds))
            return []
        heard, is_whole = [], True
        for event in self._inotify.read(timeout=max(0, math.ceil(seconds * 1000))):
            is_whole = is_whole and not event.mask & flags.Q_OVERFLOW
            if (folder := self._folders.get(event.wd)) is not None:
                if event.mask & flags.IGNORED:
                    self._forget(event.wd)
                elif event.mask & _MOVED_AWAY:
                    self._moved(event.wd, folder)
                heard.append(Heard(folder, event.name, event.mask))
        return heard if is_whole else None

    def close(self) -> None:
        if self._inotify:
            self._inotify.close()

    def _moved(self, watch: int, folder: str) -> None:
        """Keep the watch of a folder only if it is still the one under its path: a moved one goes on telling."""
        assert self._inotify
        with contextlib.suppress(OSError):
            if self._inotify.add_watch(folder, _WATCHED) == watch:
                return
        self._drop(watch)

    def _drop(self, watch: int) -> None:
        assert self._inotify
        self._forget(watch)
        with contextlib.suppress(OSError):  # gone by itself
            self._inotify.rm_watch(watch)

    def _forget(self, watch: int) -> None:
        folder = self._folders.pop(watch, None)
        if folder is not None and self._watches.get(folder) == watch:
            del self._watches[folder]


def is_remote(folder: str) -> bool:
    """Whether other machines may write a folder's files, as on NFS, so that this one's system does not hear of it."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return False
    return file_system(device).startswith(_REMOTE)


_file_systems: dict[int, str] = {}


def file_system(device: int) -> str:
    """The kind of the file system with a device number, such as `ext4`; empty if that is not known."""
    if device not in _file_systems:
        wanted = f"{os.major(device)}:{os.minor(device)}"
        _file_systems[device] = ""
        with contextlib.suppress(OSError), open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                if left.split(" ")[2] == wanted:
                    _file_systems[device] = right.split(" ")[0]
    return _file_systems[device]
