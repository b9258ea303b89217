"""An MLflow server of the tests, and the PostgreSQL below it."""

import os
import pwd
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from services.object_store import REGION, ObjectStore
from services.programs import postgres_programs
from services.server import HOST, Server, ServerError, clean_environment, kept_secret


class Postgres(Server):
    """PostgreSQL of the system's packages; loopback and password only.

    It refuses to run as root: there it runs as `postgres`, else as `nobody`, who must be able to reach the folder.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": it waits for no client
    orphan_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.password_file = folder / f"{name}.secret"
        self.url = f"postgresql://mlflow:{kept_secret(self.password_file)}@{HOST}:{self.port}/postgres"
        if os.getuid() == 0:
            account = unprivileged_account()
            self.user, self.group = account.pw_uid, account.pw_gid
            for path in (self.folder, self.password_file):
                os.chown(path, self.user, self.group)

    def command(self) -> list[str]:
        options = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "synchronous_commit": "off",  # a crash of the machine may lose the last transactions, never the database
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        return [f"{postgres_programs()}/postgres", "-D", "data", "-p", str(self.port), *given]

    def start(self) -> None:
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._make_database()
        super().start()

    def answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(self.url, connect_timeout=3).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        initdb = [f"{postgres_programs()}/initdb", "-D", "data", "-U", "mlflow", "--auth=scram-sha-256", "--no-sync"]
        done = subprocess.run(
            [*initdb, f"--pwfile={self.password_file}", "--encoding=UTF8", "--locale=C"],
            cwd=self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )
        if done.returncode:
            whom = "" if self.user is None else f" (as {pwd.getpwuid(self.user).pw_name}, who must reach the folder)"
            msg = f"initdb in {self.folder}{whom} said:\n{done.stderr}"
            raise ServerError(msg)


class MlflowServer(Server):
    """`mlflow server` on PostgreSQL; clients read and write artifacts in the bucket themselves.

    Attributes:
        url: its tracking and registry URI.
    """

    # Told by the system, the shell in front takes mlflow and its uvicorn with it; mlflow alone would leave uvicorn.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGUSR1

    def __init__(
        self, name: str, folder: Path, database: Postgres, store: ObjectStore, bucket: str, port: int | None
    ) -> None:
        super().__init__(name, folder, port)
        self.database, self.store, self.bucket = database, store, bucket
        self.url = f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        server = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1"]
        return ["/bin/sh", "-c", 'trap "kill -KILL 0" USR1; "$@" & wait', "sh", *server, "--no-serve-artifacts"]

    def environment(self) -> Mapping[str, str]:
        uri = self.database.url.replace("postgresql:", "postgresql+psycopg2:")  # SQLAlchemy would take psycopg
        return clean_environment() | {
            "MLFLOW_BACKEND_STORE_URI": uri,  # not in its arguments, which everyone can see
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{self.bucket}/models",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # more processes, for evaluating prompts
            "MLFLOW_S3_ENDPOINT_URL": self.store.endpoint,  # its web page shows artifacts
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def unprivileged_account() -> pwd.struct_passwd:
    """The user that PostgreSQL runs as where this process is root's."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    msg = "root cannot run PostgreSQL, and there is no account postgres or nobody to run it as"
    raise ServerError(msg)
