"""Open a landed file and read its text as UTF-8 bytes, whatever it is packed or encoded in."""

import bz2
import codecs
import errno
import gzip
import os
import re
import stat
import time
import zlib
from collections.abc import Callable
from typing import Protocol, Self

from schemas.dialect import PACKED
from schemas.errors import StorageError
from schemas.reasons import Reason
from streamscore.landing.manifest import LandedFile, file_time
from streamscore.reading.rejects import BadFileError, FileReject

# Neither follows a link that took a file's place, nor waits for whoever is at the other end of a FIFO.
_PLAIN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Errors of this file alone, whenever it is read.
_OF_THE_FILE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG}
_OF_THE_FILE |= {errno.EINVAL, errno.EOVERFLOW, errno.EAGAIN}
LEASE_SECONDS = 1.0
_SURROGATE = re.compile(rb"\xed[\xb0-\xb3][\x80-\xbf]")


class Source(Protocol):
    """The bytes of one landed file; closed by whoever opened it.

    Raises:
        BadFileError: the file is gone, is another now, or cannot be read.
        OSError: the same, of a local file.
        StorageError: the storage failed; trying again can help.
    """

    def content(self) -> tuple[int, int]:
        """Size in bytes and time in nanoseconds, now."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""

    def close(self) -> None: ...


class LocalSource:
    """A file in a folder; plain descriptors, because 20,000 small files take 0.06 s longer with file objects."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: str) -> None:
        self._descriptor = _open(path)

    def content(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadFileError(FileReject(Reason.UNREADABLE, "found a FIFO, a device or the like, wanted a file"))
        return status.st_size, file_time(status)

    def read(self, size: int) -> bytes:
        data = os.read(self._descriptor, size)
        if len(data) == size or not data:
            return data
        pieces = [data]
        size -= len(data)
        while size and (data := os.read(self._descriptor, size)):
            pieces.append(data)
            size -= len(data)
        return b"".join(pieces)

    def close(self) -> None:
        os.close(self._descriptor)


def _open(path: str) -> int:
    """A descriptor; whoever holds a lease on the file has a second to give it up, which the system tells him to do."""
    until = 0.0
    while True:
        try:
            return os.open(path, _PLAIN)
        except BlockingIOError:
            until = until or time.monotonic() + LEASE_SECONDS
            if time.monotonic() > until:
                raise
            time.sleep(LEASE_SECONDS / 50)


Open = Callable[[LandedFile], Source]


def open_local(file: LandedFile) -> Source:
    """The bytes of a file in a folder."""
    return LocalSource(file.local_path)


class LandedText:
    """A landed file's text as UTF-8 bytes: unpacked if its name ends so, transcoded if the dialect says so.

    Text that the dialect's encoding does not know stays behind as bytes that are no UTF-8.

    Raises:
        BadFileError: the file is missing, cannot be read, or is not what the manifest says.
        StorageError: the storage failed; trying again can help.
    """

    __slots__ = ("_encoding", "_file", "_read", "_source")

    def __init__(self, file: LandedFile, encoding: str, open_landed: Open = open_local) -> None:
        self._file, self._encoding = file, encoding
        try:
            self._source = open_landed(file)
        except OSError as error:
            raise _refused(error, file) from error
        try:
            self.assert_unchanged()
        except BaseException:
            self._source.close()
            raise
        unpack = _UNPACK.get(file.path[-4:].rpartition(".")[2].lower())
        self._read: Callable[[int], bytes] = self._source.read if unpack is None else unpack(_Readable(self._source))
        if not is_utf8(encoding):
            self._read = _Transcoder(self._read, encoding).read

    def read(self, size: int) -> bytes:
        """The next `size` bytes of text or a few more; fewer only at the end."""
        try:
            return self._read(size)
        except UnicodeError as error:  # of no character in particular: UTF-16 without its byte order mark
            detail = f"found text that is not {self._encoding} ({error}), wanted {self._encoding}"
            raise BadFileError(FileReject(Reason.BAD_ENCODING, detail)) from error
        except (EOFError, zlib.error, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise _refused(error, self._file) from error
            # no word of the system's: bz2 and zstd, too, tell damage so
            kind = {"gz": "gzip", "bz2": "bzip2", "zst": "zstd"}.get(self._file.path.rpartition(".")[2].lower(), "text")
            said = " ".join(str(error).split())
            detail = f"found damaged {kind} ({said}), wanted a whole one"
            raise BadFileError(FileReject(Reason.UNREADABLE, detail)) from error

    def assert_unchanged(self) -> None:
        """Raise BadFileError unless size and time are those of the manifest."""
        size, modified = self._source.content()
        if size != self._file.size or modified != self._file.modified:
            detail = (
                f"found {size:,} bytes of time {modified}, wanted {self._file.size:,} bytes of time "
                f"{self._file.modified}, as in the manifest: the file was written to after it had landed"
            )
            raise BadFileError(FileReject(Reason.FILE_CHANGED, detail))

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_utf8(encoding: str) -> bool:
    """Whether the dialect's encoding needs no transcoding."""
    return encoding == "utf-8" or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _refused(error: OSError, file: LandedFile) -> Exception:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return BadFileError(FileReject(Reason.FILE_MISSING, "found no such file, wanted one as in the manifest"))
    if error.errno in _OF_THE_FILE:
        return BadFileError(FileReject(Reason.UNREADABLE, f"found '{error.strerror}', wanted a file that may be read"))
    return StorageError(f"cannot read {file.path}: {error.strerror or error}; the next run tries it again")


class _Readable:
    """What those who unpack want of a file."""

    closed = False

    def __init__(self, source: Source) -> None:
        self.read = source.read

    def close(self) -> None:
        """Nothing: whoever opened the source closes it."""


def is_packed(file: LandedFile) -> bool:
    """Whether a file's name says that it is to be unpacked."""
    return file.path.lower().endswith(PACKED)


def _zstd(file: _Readable) -> Callable[[int], bytes]:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd").read


# By the end of a name; read() is all that they call of a file.
_UNPACK: dict[str, Callable[[_Readable], Callable[[int], bytes]]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file, mode="rb").read,  # type: ignore[call-overload]
    "bz2": lambda file: bz2.BZ2File(file).read,  # type: ignore[call-overload]
    "zst": _zstd,
}


class _Transcoder:
    """Bytes of any encoding in, UTF-8 out; what cannot be decoded becomes a lone surrogate, which is no UTF-8."""

    def __init__(self, read: Callable[[int], bytes], encoding: str) -> None:
        codecs.register_error("streamscore.surrogates", _as_surrogates)
        self._read_bytes = read
        self._decode = codecs.getincrementaldecoder(encoding)("streamscore.surrogates").decode

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            data = self._read_bytes(size)
            text = self._decode(data, not data).encode("utf-8", "surrogatepass")
            pieces.append(text)
            size -= len(text)
            if not data:
                break
        return b"".join(pieces)


def with_original_bytes(text: bytes) -> bytes:
    """Transcoded text with the bytes that could not be decoded in place of the surrogates."""
    return _SURROGATE.sub(lambda found: bytes([ord(found[0].decode("utf-8", "surrogatepass")) & 0xFF]), text)


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end
