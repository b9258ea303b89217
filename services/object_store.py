"""An object store of the tests: MinIO or versitygw, with or without TLS."""

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from services.programs import built
from services.server import HOST, Server, ServerError, clean_environment

Kind = Literal["minio", "versitygw"]
REGION = "us-east-1"


class ObjectStore(Server):
    """One store with one pair of credentials.

    Attributes:
        endpoint: http://127.0.0.1:PORT, or https:// with `tls`.
        ca_file: a PEM file of the authority that signed its certificate; None without TLS.
    """

    def __init__(
        self, kind: Kind, name: str, folder: Path, keys: tuple[str, str], *, tls: bool, port: int | None
    ) -> None:
        super().__init__(name, folder, port)
        self.kind: Kind = kind
        self.access_key, self.secret_key = keys
        self.endpoint = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        for part in ("data", "meta", "certs"):
            (self.folder / part).mkdir(exist_ok=True)
        self.ca_file = make_certificates(self.folder / "certs") if tls else None

    def command(self) -> list[str]:
        address = f"{HOST}:{self.port}"
        if self.kind == "minio":
            return [str(built("minio")), "server", "--address", address, "--certs-dir", "certs", "data"]
        files = [f"--cert={self.folder}/certs/public.crt", f"--key={self.folder}/certs/private.key"]
        tls = files if self.ca_file else []
        # What it knows of objects goes into files: not every file system has extended attributes.
        folders = [f"--sidecar={self.folder}/meta", f"{self.folder}/data"]  # it changes into the latter
        return [str(built("versitygw")), f"--port={address}", "--quiet", *tls, "posix", *folders]

    def environment(self) -> Mapping[str, str]:
        return clean_environment() | {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "ROOT_ACCESS_KEY": self.access_key,
            "ROOT_SECRET_KEY": self.secret_key,
        }

    def answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.list_buckets()
        except (BotoCoreError, ClientError):  # refused; 503 while it starts
            return False
        return True

    def make_bucket(self, name: str) -> None:
        """Nothing to do if it is there."""
        if name not in [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=name)

    @functools.cached_property
    def client(self) -> Any:
        """boto3's client, with this store's credentials; tries nothing twice."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session(self.access_key, self.secret_key).client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            verify=self.ca_file and str(self.ca_file),
            config=Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=10
            ),
        )


def make_certificates(folder: Path) -> Path:
    """An authority and, signed by it, a certificate for loopback, under the names that MinIO looks for; made once.

    Two, because rustls refuses a certificate that is its own authority.
    """
    authority = folder.parent / "ca.crt"
    if authority.exists():
        return authority
    key = folder.parent / "ca.key"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365"]
    leaf = ["-CA", authority, "-CAkey", key, "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
    for command in (
        [*request, "-subj", "/CN=streamscore tests", "-keyout", key, "-out", authority],
        [*request, "-subj", "/CN=localhost", "-keyout", folder / "private.key", "-out", folder / "public.crt", *leaf],
    ):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"openssl made no certificate in {folder}:\n{done.stderr}"
            raise ServerError(msg)
    return authority
