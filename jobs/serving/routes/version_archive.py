"""A version of the store as one tar archive: `model/…`, `version.json`, and `data/…` if there are training data."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from jobs.serving.requests.problems import RequestError

MOST_FILES = 10_000


def pack(folder: Path, file: Path) -> Path:
    """What `pull` made as an archive."""
    with tarfile.open(file, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return file


def unpack(file: Path, folder: Path, most: int) -> Path:
    """What an archive holds, in a new folder.

    Args:
        most: bytes of all files together.

    Raises:
        RequestError: it is no tar archive of files and folders (400), or holds more than `most` bytes (413).
    """
    folder.mkdir()
    try:
        with tarfile.open(file, "r:*") as archive:
            archive.extractall(folder, _within(archive, most), filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise RequestError(400, f"the body is no tar archive of a model: {type(error).__name__}") from error
    return folder


def _within(archive: tarfile.TarFile, most: int) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, if they are such as a model has, and not more than allowed."""
    size = 0
    for count, member in enumerate(archive, 1):
        size += member.size
        if not (member.isreg() or member.isdir()):
            raise RequestError(400, "the archive has a member that is no file and no folder; pack the files themselves")
        if size > most or count > MOST_FILES:
            raise RequestError(413, f"the archive holds more than {most:,} bytes or {MOST_FILES:,} files")
        yield member
