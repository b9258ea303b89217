"""An empty MLflow database: a copy of one that is made once in a test run, as MLflow's migrations take 7 s."""

import fcntl
import os
import shutil
import warnings
from pathlib import Path

SHARED = "TESTS_SHARED_FOLDER"  # the variable that says where what a test run makes once is


def new_database(folder: Path) -> str:
    """The URI of the database in this folder, which is made if it is not there; a folder is not made."""
    path = folder / "mlflow.db"
    if folder.is_dir() and not path.exists():
        shutil.copyfile(_made_once(Path(os.environ[SHARED])), path)
    return f"sqlite:///{path}"


def _made_once(shared: Path) -> Path:
    """The one to copy; who comes first makes it, the others wait."""
    made = shared / "empty.db"
    with (shared / "empty.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            from mlflow.store.db.utils import _initialize_tables
            from sqlalchemy import create_engine

            unfinished = shared / "unfinished.db"
            unfinished.unlink(missing_ok=True)
            engine = create_engine(f"sqlite:///{unfinished}")
            with warnings.catch_warnings(action="ignore"):  # MLflow's own
                _initialize_tables(engine)  # type: ignore[no-untyped-call]
            engine.dispose()
            unfinished.rename(made)
    return made
