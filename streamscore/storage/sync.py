"""Safe from a power cut: names in a folder, and whatever was written to a file system so far."""

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

NO_SUCH_CALL = {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ENOTSUP}  # of a file system, or forbidden in a container
FULL, WAIT = 0x01, 0x02  # of macOS's <unistd.h>: through the disk's own cache, and not before it is done


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are safe: files that were made there, moved there or away.

    Raises:
        OSError: they are not.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:
            raise
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; their names are safe on return.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_file_system(path: Path) -> None:
    """Return once all that any process of this machine has written to the file system of a path so far is safe.

    One call instead of an fsync of each file and folder: whoever wrote them, and however many they are.

    Raises:
        OSError: it is not, or there is no such path.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        call = _sync_call()
        if call is not None and call(handle) == 0:
            return
        if call is not None and (number := ctypes.get_errno()) not in NO_SUCH_CALL:
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)
    os.sync()  # every file system


@functools.cache
def _sync_call() -> Callable[[int], int] | None:
    """The system's call for one file system, by a descriptor in it; 0 if it is done."""
    is_mac = sys.platform == "darwin"
    call = getattr(ctypes.CDLL(None, use_errno=True), "fsync_volume_np" if is_mac else "syncfs", None)
    return functools.partial(_full, call) if call and is_mac else call


def _full(call: Callable[[int, int], int], handle: int) -> int:
    return call(handle, FULL | WAIT)
