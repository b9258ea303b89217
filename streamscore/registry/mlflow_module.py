"""MLflow itself: imported late, quiet, without telemetry, and giving up in bounded time."""

import logging
import os
import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from schemas.errors import RegistryError
from schemas.passwords import without_passwords

# Set where the environment says nothing. MLflow's own limits are 7 retries of 120 s: minutes for a server that is down.
# Two tries of 6 s and its import (1 to 6 s) end within the 30 s in which a start without a registry has to.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
LENGTH = 300  # of what is told of an error
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_first = threading.Lock()


def import_mlflow() -> Any:
    """The module `mlflow`; its first import takes 1 to 5 seconds."""
    with _first:  # only the first of all threads writes to the environment
        for name, value in QUIET.items():
            if name not in os.environ:
                os.environ[name] = value
        logging.getLogger("alembic").setLevel(logging.WARNING)
        import mlflow

    return mlflow


def assert_usable(uri: str) -> None:
    """Refuse a database that MLflow would retry for 100 seconds; every other URI passes, it has a timeout.

    Raises:
        RegistryError: no such folder, no SQLite file, or nobody listens.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        path = sqlite_path(uri)
        if not os.access(path.parent, os.W_OK):
            msg = f"{uri}: no folder {path.parent} to write in; next: mkdir -p '{path.parent}'"
            raise RegistryError(msg)
        if path.is_file() and path.stat().st_size and path.open("rb").read(15) != b"SQLite format 3":
            msg = f"{uri}: {path} is not a SQLite file; move it away or set MLFLOW_TRACKING_URI"
            raise RegistryError(msg)
    elif scheme in PORTS:
        parts = urlsplit(uri)
        try:
            address = parts.hostname or "localhost", parts.port or PORTS[scheme]
            socket.create_connection(address, 5).close()
        except (OSError, ValueError) as error:  # ValueError: of what should be a port
            msg = f"nobody answers at {uri}: {error}; start the database, then: streamscore doctor"
            raise RegistryError(msg) from error


def object_store_errors() -> tuple[type[Exception], ...]:
    """What MLflow lets through when artifacts in S3 cannot be reached; none before it has asked for any."""
    if "boto3" not in sys.modules:
        return ()
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return Boto3Error, BotoCoreError, ClientError


def root_cause(error: BaseException) -> str:
    """What the network or the file system said below an error, else the error itself, in one line."""
    deepest = error
    while below := deepest.__cause__ or deepest.__context__:
        deepest = below
    said = deepest if isinstance(deepest, OSError) else error
    text = " ".join(without_passwords(str(said)).split())
    of_system = re.search(r"\[Errno \d+\][^#]*", text)  # MLflow's own words before it fill a page
    return (of_system[0] if of_system and len(text) > LENGTH else text)[:LENGTH].rstrip()


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite file; SQLAlchemy 2.1 decodes percent signs in it."""
    return f"sqlite:///{quote(str(path))}"


def sqlite_path(uri: str) -> Path:
    """The file of a SQLite URI, absolute."""
    return Path(unquote(uri.partition(":///")[2].split("?")[0])).absolute()
