"""What a test needs that `make setup` does not install: a server, or a program to build or install.

`FIXTURES` says which fixtures need a program; a test that needs one more is marked `@pytest.mark.needs(...)`. All such
tests are marked `servers`. Where a program is missing, the test is skipped before its fixtures are made, with one line
that says how to get it; with CI=true it fails.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from services.mlflow_server import MlflowServer
from services.object_store import Kind, ObjectStore
from services.programs import Program, missing
from services.start import Services

REGISTRIES = {"homes_registry", "trained", "wine_registry"}  # fixtures that train models
FIXTURES: dict[str, Program] = {"object_store": "minio", "recognisable": "minio", "mlflow_server": "postgres"}


def needs_of(item: pytest.Item) -> list[Program]:
    """The programs that a test cannot do without, known before it runs."""
    marked: list[Program] = [program for mark in item.iter_markers("needs") for program in mark.args]
    callspec = getattr(item, "callspec", None)
    chosen = callspec.params if callspec else {}  # object_store: its kind, in a test marked `both_stores`
    used = [chosen.get(name, program) for name, program in FIXTURES.items() if name in fixtures_of(item)]
    return list(dict.fromkeys([*marked, *used]))


def fixtures_of(item: pytest.Item) -> tuple[str, ...]:
    """The fixtures that a test asks for, and those that they ask for."""
    return tuple(getattr(item, "fixturenames", ()))


def mark_items(items: list[pytest.Item]) -> None:
    """Mark as `servers` what needs more than `make setup` installs, as `trains` what uses a registry with models."""
    for item in items:
        if REGISTRIES & set(fixtures_of(item)):
            item.add_marker(pytest.mark.trains)
        if needs_of(item):
            item.add_marker(pytest.mark.servers)


def insist(programs: Sequence[Program]) -> None:
    """Skip the test that runs if one of these is missing; in CI, fail it."""
    for line in lines(programs):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(line)


def lines(programs: Sequence[Program]) -> Iterator[str]:
    """One line for each program that is missing."""
    return (line for program in programs if (line := _missing(program)))


@cache
def _missing(program: Program) -> str | None:
    return missing(program)


class AskedServices(Services):
    """Servers that are asked for before they are started: no test starts one that may not be there."""

    def object_store(
        self, kind: Kind = "minio", *, tls: bool = False, name: str = "", port: int | None = None
    ) -> ObjectStore:
        insist([kind, "openssl"] if tls else [kind])
        return super().object_store(kind, tls=tls, name=name, port=port)

    def mlflow_server(self, store: ObjectStore, bucket: str, port: int | None = None) -> MlflowServer:
        insist(["postgres"])
        return super().mlflow_server(store, bucket, port)
