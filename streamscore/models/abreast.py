"""Several models for somebody who uses one after the other: loaded beside each other, used as they get ready."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

from streamscore.models.lease import Lease
from streamscore.models.row_model import Model

ABREAST = 4  # loads at once, as many as a cache has threads for them

Wanted = TypeVar("Wanted", bound=Hashable)
Why = TypeVar("Why")


def as_they_load(
    wanted: Iterable[Wanted],
    ask: "Callable[[Wanted], Future[Lease[Model]] | Why]",
    failed: Callable[[Wanted, Exception], object],
) -> Iterator[tuple[Wanted, Model | Why]]:
    """What `ask` gives for each, as soon as it is there; held until the next one is asked for.

    Who uses a model waits for no other one, so that a cache with room for one is enough.

    Args:
        ask: the future lease of a model, or why there is none.
        failed: is told what loading raised; it raises, or makes `ask` give something else, which is asked again.
    """
    left, loading = deque(wanted), dict[Future[Lease[Model]], Wanted]()
    while left or loading:
        while left and len(loading) < ABREAST:
            one = left.popleft()
            asked = ask(one)
            if isinstance(asked, Future):
                loading[asked] = one
            else:
                yield one, asked
        for future in wait(loading, return_when=FIRST_COMPLETED).done:
            one = loading.pop(future)
            if error := future.exception():
                if not isinstance(error, Exception):
                    raise error
                failed(one, error)
                left.append(one)
                continue
            with future.result() as model:
                yield one, model
            del future
