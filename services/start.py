"""The servers of profile `minio`, without Docker: object store, PostgreSQL and MLflow on loopback.

For tests, and for a user: `make services` runs this file, which starts them and waits for Ctrl-C.
"""

import argparse
import fcntl
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast, get_args

from services.mlflow_server import MlflowServer, Postgres
from services.object_store import Kind, ObjectStore
from services.programs import missing
from services.server import Server, ServerError, kept_secret

ROOT = Path(__file__).parents[1]
KINDS: tuple[Kind, ...] = get_args(Kind)
STORE_PORT, MLFLOW_PORT, BUCKET = 9000, 5000, "streamscore"  # as conf/minio.yaml has them

AnyServer = TypeVar("AnyServer", bound=Server)


class Services:
    """Servers that end together, the last started first; data, logs and secrets are below one folder.

    PostgreSQL may run as another user: below a folder that only its owner enters it does not start for root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = "streamscore", kept_secret(folder / "store.secret")
        self.servers: dict[str, Server] = {}

    def object_store(
        self, kind: Kind = "minio", *, tls: bool = False, name: str = "", port: int | None = None
    ) -> ObjectStore:
        """The store of this name, which is that of its kind if none is given; started if it is down."""
        name = name or (f"{kind}-tls" if tls else kind)
        return self._up(name, lambda: ObjectStore(kind, name, self.folder, self.keys, tls=tls, port=port))

    def mlflow_server(self, store: ObjectStore, bucket: str, port: int | None = None) -> MlflowServer:
        """The one of this store, on a PostgreSQL of its own, artifacts in the bucket; started if it is down."""
        store.make_bucket(bucket)
        database = self._up(f"postgres-{store.name}", lambda: Postgres(f"postgres-{store.name}", self.folder))
        name = f"mlflow-{store.name}"
        return self._up(name, lambda: MlflowServer(name, self.folder, database, store, bucket, port))

    def stop(self) -> None:
        while self.servers:
            self.servers.popitem()[1].stop()

    def _up(self, name: str, make: Callable[[], AnyServer]) -> AnyServer:
        server = cast("AnyServer", self.servers.get(name) or make())
        if server.process is None:
            server.start()
        self.servers[name] = server
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def variables(store: ObjectStore, mlflow: MlflowServer) -> str:
    """Lines for a shell: what a streamscore of profile minio needs to know."""
    values = {
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "STREAMSCORE_STORAGE__ENDPOINT": store.endpoint,
        "STREAMSCORE_REGISTRY__TRACKING_URI": mlflow.url,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def serve(folder: Path, kind: Kind) -> int:
    """Start everything, say where it is, and wait until one is told to end or one server ended; an exit code."""
    with Services(folder) as services:
        store = services.object_store(kind, port=STORE_PORT)
        mlflow = services.mlflow_server(store, BUCKET, port=MLFLOW_PORT)
        exports = variables(store, mlflow)
        with open(os.open(folder / "env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(exports)
        print(f"{exports}# the same: source {os.path.relpath(folder)}/env; logs are beside it; stop with Ctrl-C")
        sys.stdout.flush()
        while not (ended := [one for one in services.servers.values() if one.has_ended()]):
            time.sleep(0.5)
        print(f"services: {ended[0].name} ended; {ended[0].log} ends:\n{ended[0].tail()}", file=sys.stderr)
        return 1


def main() -> int:
    """`python -m services`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make services", description=__doc__)
    parser.add_argument("--store", choices=KINDS, default="minio", help="the object store (default: minio)")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "services", help="data, logs and secrets")
    arguments = parser.parse_args()
    for wanted in (arguments.store, "postgres"):
        if lacking := missing(wanted):
            print(f"services: {lacking}", file=sys.stderr)
            return 2
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"services: running already on {folder}; source {folder}/env", file=sys.stderr)
            return 2
        try:
            return serve(folder, arguments.store)
        except KeyboardInterrupt:
            print("services: stopped", file=sys.stderr)
            return 0
        except ServerError as error:
            print(f"services: {error}", file=sys.stderr)
            return 1
