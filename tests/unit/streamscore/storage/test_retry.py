"""Which errors are waited for, and which end it."""

from collections.abc import Callable

import pytest

from schemas.errors import ConflictError, RecoveryError, RegistryError, StorageError, StreamscoreError
from streamscore.storage import retry
from streamscore.storage.retry import retry_storage


def failing(error: type[StreamscoreError], times: int = 2) -> Callable[[], int]:
    """Fails some times, then gives the number of its calls."""
    calls: list[int] = []

    def do() -> int:
        calls.append(1)
        if len(calls) <= times:
            msg = "not now"
            raise error(msg)
        return len(calls)

    return do


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)


def test_storage_is_waited_for_and_what_else_is_named() -> None:
    assert retry_storage(5, failing(StorageError)) == 3
    with pytest.raises(RegistryError):
        retry_storage(5, failing(RegistryError))
    assert retry_storage(5, failing(RegistryError), passing=(StorageError, RegistryError)) == 3


@pytest.mark.parametrize("error", [RecoveryError, ConflictError])
def test_what_does_not_pass_is_not_tried_again(error: type[StreamscoreError]) -> None:
    with pytest.raises(error):
        retry_storage(5, failing(error), passing=(StorageError, RegistryError))


def test_it_is_given_up_in_time() -> None:
    with pytest.raises(RegistryError):
        retry_storage(0.01, failing(RegistryError, 1000), passing=RegistryError)
