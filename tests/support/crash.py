"""Crashes of a driver inside the process of the test."""

import pytest

from streamscore.tables import commit


class Crash(BaseException):
    """Ends a driver as kill -9 does: nothing handles it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Every commit crashes at this fail point, until `monkeypatch` is undone."""

    def fail_at(here: str, batch_id: int | None = None) -> None:
        if here == point:
            raise Crash(point)

    monkeypatch.setattr(commit, "fail_at", fail_at)
