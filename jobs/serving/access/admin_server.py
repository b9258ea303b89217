"""The admin routes on a port of their own, in the same process and loop as the others."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from schemas.errors import SettingsError
from schemas.settings import Serving


class _Server(uvicorn.Server):
    """Leaves signals to the server of the other routes, which ends this one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def admin_socket(serving: Serving) -> socket.socket | None:
    """The address of the admin routes, bound; None: there are none.

    Of several workers each binds it, and the system chooses which one answers.

    Raises:
        SettingsError: it cannot be bound.
    """
    if not serving.admin_port:
        return None
    try:
        family, *_, address = socket.getaddrinfo(serving.admin_host, serving.admin_port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if serving.workers > 1:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        where = f"{serving.admin_host}:{serving.admin_port}"
        msg = f"the admin routes cannot listen on {where}: {error.strerror}; set another serving.admin_port"
        raise SettingsError(msg) from error
    return bound


@contextlib.asynccontextmanager
async def admin_server(app: Any, bound: socket.socket | None) -> AsyncIterator[None]:
    """Answer there until the end of the context."""
    if bound is None:
        yield
        return
    server = _Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off"))
    answering = asyncio.create_task(server.serve([bound]))
    try:
        yield
    finally:
        server.should_exit = True
        await answering
