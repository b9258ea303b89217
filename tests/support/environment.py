"""Who writes a variable of the process."""

import os

import pytest


def noted_writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every variable that is written or deleted from now on, until the patch is undone."""
    written: list[str] = []
    kind = type(os.environ)
    put, delete = kind.__setitem__, kind.__delitem__

    def noted_put(self: "os._Environ[str]", name: str, value: str) -> None:
        written.append(name)
        put(self, name, value)

    def noted_delete(self: "os._Environ[str]", name: str) -> None:
        written.append(name)
        delete(self, name)

    monkeypatch.setattr(kind, "__setitem__", noted_put)
    monkeypatch.setattr(kind, "__delitem__", noted_delete)
    return written
