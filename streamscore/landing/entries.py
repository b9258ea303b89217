"""What lies in a landing folder: files to score, folders to look into, and entries that are passed over.

Whoever may write into the folder may put anything there. One name is one file: links are not followed, so that no file
is scored under two names, and none that lies elsewhere is read.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.dialect import ENDINGS

HIDDEN = (".", "_")  # a name that starts so is never landed: temporary files, the archive
BREATH = 1000  # entries, which take about a millisecond
LONGEST_PATH = 4095  # bytes that the system takes

_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # errors of this process, not of an entry
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # of a folder that went, or another entry took its place
_LINK = "is a link, wanted a file: links are not followed; land the file itself, or a hard link to it"
_TOO_LONG = "its path is too long for the system; shorten a name"
_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

PassOver = Callable[[str, str], None]  # path of an entry, and why it is passed over


class FoundFile(NamedTuple):
    """A file with a landed name, settled or not; its status is its own, never that of another that it leads to."""

    folder: str
    name: str
    status: os.stat_result

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"


def is_landed_name(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Whether a file of that name is scored, wherever in the landing folder it lies; `endings` are the feed's."""
    return name.lower().endswith(endings) and not name.startswith(HIDDEN)


def why_passed_over(name: str, mode: int, endings: tuple[str, ...] = ENDINGS) -> str:
    """Why an entry is neither looked into nor read, though its name or kind asks for it; empty if there is no reason.

    Any link: it may be meant as a folder. Of what is no file, what is called as one.
    """
    if stat.S_ISLNK(mode):
        return _LINK
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not is_landed_name(name, endings):
        return ""
    return f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, wanted a file; remove it"


def files_below(
    root: str,
    pass_over: PassOver,
    enter: Callable[[str], object] = lambda _: None,
    under: str | None = None,
    endings: tuple[str, ...] = ENDINGS,
) -> Iterator[FoundFile | None]:
    """Every file with a landed name in a landing folder and its sub-folders; each folder's own come first.

    After every `BREATH` entries of a folder, whatever they are, None: whoever looks may have something else to do.

    Args:
        root: the landing folder, which may itself be a link.
        pass_over: called for every other entry that seems to be meant, and for a folder that cannot be looked into.
        enter: called for each folder before it is looked into.
        under: a folder in it: only what is there.
        endings: of the names that are landed, as the feed says.

    Raises:
        OSError: the landing folder itself cannot be looked into.
    """
    folders = [under or root]
    while folders:
        folder = folders.pop()
        enter(folder)
        try:
            for entry in _entries(folder, follow=folder == root):
                if entry is None:
                    yield None
                    continue
                path = f"{folder}/{entry.name}"
                if len(path) > LONGEST_PATH // 4 and len(os.fsencode(path)) > LONGEST_PATH:
                    pass_over(path, _TOO_LONG)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_symlink():
                    pass_over(path, _LINK)
                elif is_landed_name(entry.name, endings):
                    yield from _file(folder, entry, pass_over, endings)
        except OSError as error:
            if folder == root or error.errno in _OURS:
                raise
            if error.errno not in _GONE:
                pass_over(folder, f"{error.strerror}, wanted a folder that this user may look into; chmod or chown it")


def _entries(folder: str, *, follow: bool) -> Iterator["os.DirEntry[str] | None"]:
    """The entries of a folder that are not hidden, and now and then None.

    By its descriptor, so that no link takes its place meanwhile.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        with os.scandir(handle) as entries:
            for number, entry in enumerate(entries, 1):
                if number % BREATH == 0:
                    yield None
                if not entry.name.startswith(HIDDEN):
                    yield entry
    finally:
        os.close(handle)


def _file(folder: str, entry: "os.DirEntry[str]", pass_over: PassOver, endings: tuple[str, ...]) -> Iterator[FoundFile]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # gone again
    except PermissionError:
        raise  # of the folder: its entries may be listed, and not touched
    except OSError as error:
        if error.errno in _OURS:
            raise
        pass_over(f"{folder}/{entry.name}", f"{error.strerror}, wanted a file; remove it")
        return
    if why := why_passed_over(entry.name, status.st_mode, endings):
        pass_over(f"{folder}/{entry.name}", why)
    else:
        yield FoundFile(folder, entry.name, status)
