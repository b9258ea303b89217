"""The body of a request: read within its bounds, unpacked, and its media type."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from jobs.serving.requests.problems import RequestError

CHARSETS = ("utf-8", "utf8", "us-ascii")
PATIENCE = 4  # how many times the largest body is read, and thrown away, of one that is too large
DISCARD_SECONDS = 5.0  # how long the body of a request that was refused unread is waited for
_BEGUN = "streamscore.body"


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent.

    Attributes:
        kind: the media type in lower case, without parameters; empty if none was named.
        most: bytes that its values may have.
    """

    data: bytes
    kind: str
    most: int = 2**24


async def read_body(request: Request, most: int) -> Body:
    """The body, unpacked.

    Raises:
        RequestError: it is larger than `most` bytes, packed or unpacked (413), packed in a way that is not known or
            damaged (400), or in another charset than UTF-8 (415).
    """
    pieces, size = [], 0
    async for piece in pieces_of(request):
        size += len(piece)
        if size <= most:
            pieces.append(piece)
        elif size > PATIENCE * most:
            break
    if size > most:  # told only now: who is still sending does not read
        raise _too_large(most)
    data = b"".join(pieces)
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed == "gzip":
        data = _inflate(data, most)
    elif packed != "identity":
        raise RequestError(415, f"content-encoding is {packed!r}, wanted gzip or none")
    return Body(data, _media_type(request.headers.get("content-type", "")), most)


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes."""
    request.scope[_BEGUN] = True
    async for piece in request.stream():
        yield piece


async def discard_unread(request: Request, most: int) -> None:
    """Read the body of a request that was refused before, within bounds: who is still sending does not read."""
    if _BEGUN in request.scope:
        return
    size = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for piece in pieces_of(request):
                size += len(piece)
                if size > PATIENCE * most:
                    break


def _media_type(header: str) -> str:
    if ";" not in header:
        return header.strip().lower()
    message = Message()
    message["content-type"] = header
    kind = header.partition(";")[0].strip().lower()
    for name, value in message.get_params([])[1:]:
        if not name:  # a semicolon at the end
            continue
        if name.lower() == "charset" and str(message.get_content_charset()) not in CHARSETS:
            raise RequestError(415, f"charset is {value[:40]!r}, wanted utf-8")
        if name.lower() != "charset" and (kind, name.lower(), value.lower()) != ("text/csv", "header", "present"):
            raise RequestError(415, f"content-type has {name[:40]!r}, which is not known; wanted at most charset=utf-8")
    return kind


def _inflate(data: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise RequestError(400, f"the body is no gzip: {error}") from error
    if len(text) > most:
        raise _too_large(most)
    if not unpacker.eof or unpacker.unused_data:
        raise RequestError(400, "the body is damaged gzip, wanted one whole member")
    return text


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"the body is larger than {most:,} bytes; send less rows a request")
