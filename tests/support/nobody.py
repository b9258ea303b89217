"""Code that runs without root's rights, so that permissions mean something."""

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

NOBODY = 65534

T = TypeVar("T")


def as_nobody(do: Callable[[], T]) -> T:
    """What a function gives in a child process of a user without rights; in this process if it is nobody's superuser.

    Its value must be one that pickle knows. A failed assertion in it fails here.
    """
    if os.geteuid() != 0:
        return do()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            answer: tuple[bool, object] = (True, do())
        except BaseException as error:
            answer = (False, f"{type(error).__name__}: {error}")
        with os.fdopen(write, "wb") as end:
            pickle.dump(answer, end)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as end:
        went_well, value = pickle.load(end)
    os.waitpid(child, 0)
    assert went_well, value
    return value


@contextmanager
def folder_for_nobody() -> Iterator[Path]:
    """A folder of that user, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="streamscore-nobody-") as name:
        give_to_nobody(Path(name))
        yield Path(name)


def give_to_nobody(path: Path) -> None:
    """Make it that user's own, if this is root."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
