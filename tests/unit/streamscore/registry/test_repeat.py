"""Calls whose answer may get lost: which are made again, and that nothing is created twice."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.exceptions import MlflowException, RestException
from requests import ConnectionError as LostConnection

from streamscore.registry import repeat
from streamscore.registry.repeat import created, delete_others, repeated

TIMED_OUT = MlflowException("API request failed with timeout exception")
rest_error: Any = RestException  # its constructor has no types
RACED = rest_error({"error_code": "BAD_REQUEST", "message": "UNIQUE constraint failed: datasets.name"})
REFUSED = rest_error({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No such run"})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeat, "PAUSE_SECONDS", 0.0)


def failing(*errors: Exception, then: Callable[[], str] = lambda: "answer") -> Callable[[], str]:
    """Raises each of the errors, then answers."""
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return then()

    return call


@pytest.mark.parametrize("error", [TIMED_OUT, RACED, LostConnection("reset")], ids=["timeout", "raced", "reset"])
def test_a_call_without_an_answer_is_made_again(error: Exception) -> None:
    assert repeated(failing(error, error)) == "answer"
    with pytest.raises(type(error)):
        repeated(failing(error, error, error))


def test_an_answer_that_will_stay_is_taken_at_once() -> None:
    with pytest.raises(RestException, match="No such run"):
        repeated(failing(REFUSED))


def test_what_was_created_without_an_answer_is_found_and_not_created_again() -> None:
    there: list[str] = []

    def create() -> str:
        there.append(f"run-{len(there)}")
        raise TIMED_OUT

    assert created(create, lambda: there) == "run-0"
    assert there == ["run-0"]


def test_what_was_not_created_is_created_again_once_the_look_is_answered() -> None:
    there: list[str] = []
    look = failing(TIMED_OUT, then=lambda: "")

    def found() -> list[str]:
        look()
        return there

    assert created(failing(TIMED_OUT, then=lambda: "run-1"), found) == "run-1"


def test_what_is_there_twice_is_deleted_but_for_the_one_that_is_kept() -> None:
    deleted: list[str] = []
    delete_others("2", lambda: ["1", "2", "3"], deleted.append)
    assert deleted == ["1", "3"]
