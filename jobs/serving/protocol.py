"""HTTP as uvicorn reads it, with a bound for what stands before the body, and an end that callers hear of."""

import httptools  # noqa: F401  what uvicorn reads with here; without it, it is half as fast and says nothing
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jobs.serving.drain import DRAIN

MOST_HEAD = 2**16  # bytes of the request line and the headers; httptools has no bound
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)
_SAID = f"the request line and the headers are larger than {MOST_HEAD:,} bytes\n".encode()


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a request whose headers do not end. While the process ends, an answer is the last of its connection:

    a caller who kept an idle one would otherwise send the next request into its closing.
    """

    _head = 0  # bytes of it that came after those in which it began
    _is_in_head = False

    def data_received(self, data: bytes) -> None:
        """Read on."""
        was_in_head = self._is_in_head
        super().data_received(data)
        if not (was_in_head and self._is_in_head):
            return
        self._head += len(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self.transport.write(_REFUSAL % (len(_SAID), _SAID))
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are read."""
        self._is_in_head = False
        super().on_headers_complete()
        if self.app_state.get(DRAIN):
            self.cycle.keep_alive = False
