"""A registry that is trained once in a test run, however many workers the run has, and copies of it.

A copy is a database of its own over the same artifacts, whose paths are absolute: a test may promote and register
in its copy, and must not touch the artifacts.
"""

import fcntl
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from schemas.feed import Feed
from tests.support.fixture_types import Trained
from tests.support.register_kit import a_version, registry_in

ALPHAS = (0.01, 0.1, 0.3)  # of versions 1 to 3, which predict differently


def made_once(shared: Path, feed: Feed) -> Path:
    """The folder of the registry; who comes first makes it, the others wait."""
    folder, done = shared / "trained", shared / "trained.done"
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            registry = registry_in(folder)
            for alpha in ALPHAS:
                a_version(feed, registry, alpha, promote=alpha == ALPHAS[0])
            done.touch()
    return folder


def copy_of(made: Path, folder: Path) -> Trained:
    """The same registry, with a database of its own in this folder."""
    with closing(sqlite3.connect(made / "mlflow.db")) as old, closing(sqlite3.connect(folder / "mlflow.db")) as new:
        old.backup(new)
    registry = registry_in(folder)
    return Trained(registry.tracking_uri, registry)
