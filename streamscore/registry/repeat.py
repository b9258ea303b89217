"""Calls that change MLflow and may be carried out without an answer: made again, and made once all the same.

MLflow's client repeats any request, also one that creates something, after a timeout, a lost connection or a 5xx. The
first may have been carried out by then, or still be under way: then a run or a version is there twice, or the
database refuses the second with `UNIQUE constraint failed`. Calls that set something are repeated here until they are
answered. Calls that create something are followed by a look at what is there.
"""

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

Given = TypeVar("Given")

TRIES = 3  # of a call; MLflow's client makes two requests in each
PAUSE_SECONDS = 1.0  # what is under way ends meanwhile
LATE_SECONDS = 30.0  # for a request that was given up and may still be carried out
# What an answer says that no repetition changes.
FINAL = frozenset(
    "BAD_REQUEST FEATURE_DISABLED INVALID_PARAMETER_VALUE NOT_FOUND NOT_IMPLEMENTED PERMISSION_DENIED "
    "RESOURCE_ALREADY_EXISTS RESOURCE_DOES_NOT_EXIST UNAUTHENTICATED".split()
)
RACED = "UNIQUE constraint"  # the database's word for a request that is carried out twice at once


def repeated(call: Callable[[], Given]) -> Given:
    """What a call gives that makes no difference when it is carried out twice.

    Raises:
        MlflowException, RequestException: of the last try, or an answer that will stay.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    for _ in range(TRIES - 1):
        try:
            return call()
        except (MlflowException, RequestException) as error:
            if getattr(error, "error_code", "") in FINAL and RACED not in str(error):
                raise
            time.sleep(PAUSE_SECONDS)
    return call()


def created(create: Callable[[], str], there: Callable[[], Collection[str]]) -> str:
    """The id of what a call creates, which is not called again where it was carried out without an answer.

    A server that took longer than the timeout of a request got two, and may need as long again for the first. This
    waits for it, so that `delete_others` finds what comes of it.

    Args:
        there: the ids of what this call created, oldest first.
    """
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    timeout: Any = MLFLOW_HTTP_REQUEST_TIMEOUT
    asked, begun = False, time.monotonic()

    def once() -> str:
        nonlocal asked
        found = list(there()) if asked else []
        asked = True
        return found[0] if found else create()

    made = repeated(once)
    took = time.monotonic() - begun
    if took > timeout.get():
        time.sleep(min(took, LATE_SECONDS))
    return made


def delete_others(keep: str, there: Callable[[], Collection[str]], delete: Callable[[str], object]) -> None:
    """Delete what was created more than once."""
    for other in [found for found in repeated(there) if found != keep]:
        repeated(lambda other=other: delete(other))  # type: ignore[misc]
