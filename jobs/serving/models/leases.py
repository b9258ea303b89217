"""The models that a request uses stay in memory until its answer is there."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from streamscore.models.lease import Lease

_held: ContextVar[list[Lease[Any]] | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def holding_models() -> Iterator[None]:
    """Whatever `hold` is given within, in this task, is released at the end."""
    held: list[Lease[Any]] = []
    before = _held.set(held)
    try:
        yield
    finally:
        _held.reset(before)
        for lease in held:
            lease.release()


def hold(lease: Lease[Any]) -> Any:
    """The model of a lease, which is released at once where nobody holds models."""
    if (held := _held.get()) is None:
        lease.release()
    else:
        held.append(lease)
    return lease.value
