"""The object store: one settings block for boto3, Arrow, delta-rs, MLflow and Spark; errors in one line.

Nothing here holds a credential: each library finds them in AWS's variables, files or instance metadata by itself.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from schemas.errors import SettingsError, StorageError
from schemas.settings import Storage

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SCHEME = "s3://"
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 20, 3  # of one request; what lasts longer is a batch's to try again
CONNECTIONS = 32
DEFAULT_REGION = "us-east-1"

# What an object store says, and the setting that mends it.
_CREDENTIALS = "credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS's files)"
_BY_CODE = {
    "NoSuchBucket": "the bucket is not there; make it, or name another in --landing, --tables or --checkpoint",
    "InvalidAccessKeyId": f"wrong {_CREDENTIALS}; set them right",
    "SignatureDoesNotMatch": f"wrong {_CREDENTIALS}; set them right",
    "ExpiredToken": f"expired {_CREDENTIALS}; renew them",
    "AccessDenied": f"these {_CREDENTIALS} may not do that; grant it, or use others",
    "AuthorizationHeaderMalformed": "wrong storage.region; set STREAMSCORE_STORAGE__REGION to the store's own",
    "PermanentRedirect": "wrong storage.region or storage.endpoint; set STREAMSCORE_STORAGE__REGION to the bucket's",
    "IllegalLocationConstraintException": "wrong storage.region; set STREAMSCORE_STORAGE__REGION to the bucket's",
}


def is_object_uri(uri: str) -> bool:
    """Whether a place is in the object store."""
    return uri.startswith(SCHEME)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` → `bucket`, `a/b`.

    Raises:
        SettingsError: the URI has another scheme, or names no bucket.
    """
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not is_object_uri(uri) or not bucket:
        raise SettingsError(f"{uri}: wanted a folder or s3://BUCKET/PREFIX")
    return bucket, key.strip("/")


@functools.cache
def client_of(storage: Storage) -> Any:
    """boto3's client, one a process; for many threads."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path" if storage.path_style else "auto"},
        # the sums that newer versions add by default are unknown to some stores, and cost a trailer a request
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=storage.endpoint or None,
        region_name=_region(storage),
        verify=storage.ca_bundle or None,
        config=config,
    )


def delta_options(storage: Storage) -> dict[str, str]:
    """`storage_options` of delta-rs."""
    options = {"AWS_REGION": _region(storage) or DEFAULT_REGION, "conditional_put": "etag"}
    options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = str(not storage.path_style).lower()
    if storage.endpoint:
        options["AWS_ENDPOINT_URL"] = storage.endpoint
        options["AWS_ALLOW_HTTP"] = str(storage.endpoint.startswith("http://")).lower()
    return options


def arrow_file_system(storage: Storage) -> "S3FileSystem":
    """Arrow's file system; paths begin with the bucket."""
    from pyarrow.fs import S3FileSystem

    endpoint = urlsplit(storage.endpoint)
    return S3FileSystem(
        region=_region(storage) or DEFAULT_REGION,
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        force_virtual_addressing=not storage.path_style,
        tls_ca_file_path=storage.ca_bundle or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=READ_SECONDS,
    )


def mlflow_environment(storage: Storage) -> dict[str, str]:
    """The variables by which MLflow and Arrow below it reach artifacts in the store."""
    variables = {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path"} if storage.path_style else {}
    if storage.endpoint:
        variables["MLFLOW_S3_ENDPOINT_URL"] = storage.endpoint
    if storage.region:
        variables["AWS_DEFAULT_REGION"] = storage.region
    if storage.ca_bundle:
        variables["AWS_CA_BUNDLE"] = storage.ca_bundle
    return variables


def hadoop_conf(storage: Storage) -> dict[str, str]:
    """Spark's settings for S3A, where Spark itself touches the store."""
    prefix = "spark.hadoop.fs.s3a"
    conf = {
        f"{prefix}.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
        f"{prefix}.endpoint.region": _region(storage) or DEFAULT_REGION,
        f"{prefix}.path.style.access": str(storage.path_style).lower(),
        f"{prefix}.connection.establish.timeout": f"{CONNECT_SECONDS}s",
    }
    if storage.endpoint:
        conf[f"{prefix}.endpoint"] = storage.endpoint
        conf[f"{prefix}.connection.ssl.enabled"] = str(storage.endpoint.startswith("https")).lower()
    return conf


@contextmanager
def reaching(storage: Storage, what: str) -> Iterator[Any]:
    """boto3's client; what it raises becomes a `StorageError` in one line that names the setting.

    Raises:
        StorageError: the store does not answer, or says no.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield client_of(storage)
    except (BotoCoreError, ClientError, HTTPClientError) as error:
        raise store_error(storage, what, error) from error


def assert_reachable(storage: Storage, uri: str, what: str) -> None:
    """Ask the store for the bucket of a URI, once: a wrong setting is told in seconds.

    Args:
        what: names the setting in the message.

    Raises:
        StorageError: the store does not answer, or says no.
    """
    bucket, key = bucket_and_key(uri)
    with reaching(storage, what) as client:
        # a LIST, because the answer to a HEAD has no body that says why
        client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)


def code_of(error: Exception) -> str:
    """The code of an answer: `NoSuchKey`, `PreconditionFailed`, `404`; empty where there was no answer."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def store_error(storage: Storage, what: str, error: Exception) -> StorageError:
    """What went wrong, where, and the setting that mends it; never a credential."""
    from botocore.exceptions import (
        ConnectionError as NoConnection,
    )
    from botocore.exceptions import (
        NoCredentialsError,
        PartialCredentialsError,
        SSLError,
    )

    where = storage.endpoint or "AWS S3"
    code = code_of(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        said = f"found no {_CREDENTIALS}; set them"
    elif isinstance(error, SSLError):
        said = (
            "TLS does not fit; set storage.endpoint (STREAMSCORE_STORAGE__ENDPOINT) to http:// if the store speaks "
            "plain HTTP, or storage.ca_bundle to the PEM file of its authority"
        )
    elif code in _BY_CODE:
        said = _BY_CODE[code]
    elif isinstance(error, NoConnection) or not code:
        said = f"no answer ({type(error).__name__}); start it, or set storage.endpoint (STREAMSCORE_STORAGE__ENDPOINT)"
    else:
        said = f"it answered {code}; look: streamscore doctor"
    return StorageError(f"{what}: object store {where}: {said}")


def _region(storage: Storage) -> str | None:
    if storage.region or not storage.endpoint:
        return storage.region or None
    known = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return known or DEFAULT_REGION
