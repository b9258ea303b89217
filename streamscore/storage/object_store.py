"""The object store: one settings block for boto3, Arrow, delta-rs, MLflow and Spark; errors in one line.

Nothing here holds a credential: each library finds them in AWS's variables, files or instance metadata by itself.
"""

import functools
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from schemas.errors import SettingsError, StorageError

if TYPE_CHECKING:  # settings take 0.4 s to import, and each Python worker of Spark imports this
    from pyarrow.fs import S3FileSystem

    from schemas.settings import Storage

SCHEME = "s3://"
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 20, 3  # of one request; what lasts longer is a batch's to try again
ASK_SECONDS, ASK_ATTEMPTS = 4, 2  # of the first request of a command: a host that says nothing is told in 9 s
CONNECTIONS = 32
DEFAULT_REGION = "us-east-1"
_certificates = threading.Lock()
BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")

# What an object store says, and after a semicolon what mends it.
_ENDPOINT = "storage.endpoint (STREAMSCORE_STORAGE__ENDPOINT)"
_CREDENTIALS = "credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS's files)"
_WRONG_ID = "it does not know the key in AWS_ACCESS_KEY_ID (or AWS's files); set AWS_ACCESS_KEY_ID right"
_BY_CODE = {
    "NoSuchBucket": "the bucket is not there; make it, or name another in --landing, --tables or --checkpoint",
    "InvalidAccessKeyId": _WRONG_ID,
    "XAdminUserNotFound": _WRONG_ID,  # versitygw
    "SignatureDoesNotMatch": "the secret in AWS_SECRET_ACCESS_KEY (or AWS's files) is not that of the key in "
    "AWS_ACCESS_KEY_ID; set AWS_SECRET_ACCESS_KEY right",
    "ExpiredToken": f"expired {_CREDENTIALS}; renew them",
    "AccessDenied": f"these {_CREDENTIALS} may not do that; grant it, or use others",
    "RequestTimeTooSkewed": "this machine's clock and the store's differ; sudo timedatectl set-ntp true",
}
_OTHER_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "301"}
)


def is_object_uri(uri: str) -> bool:
    """Whether a place is in the object store."""
    return uri.startswith(SCHEME)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` → `bucket`, `a/b`.

    Raises:
        SettingsError: the URI has another scheme, or names no bucket.
    """
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not is_object_uri(uri) or not BUCKET.fullmatch(bucket):
        msg = f"{uri}: wanted a folder or s3://BUCKET/PREFIX"
        raise SettingsError(msg)
    return bucket, key.strip("/")


@functools.cache
def client_of(storage: "Storage", read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Any:
    """boto3's client, one a process; for many threads.

    Raises:
        SettingsError: `storage.ca_bundle` is not there.
    """
    import boto3
    from botocore.config import Config

    if storage.ca_bundle and not Path(storage.ca_bundle).is_file():
        msg = (
            f"setting 'storage.ca_bundle': no file {storage.ca_bundle}, wanted a PEM file of authorities; "
            f"set STREAMSCORE_STORAGE__CA_BUNDLE to one"
        )
        raise SettingsError(msg)
    config = Config(
        connect_timeout=min(CONNECT_SECONDS, read_seconds),
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path" if storage.path_style else "auto"},
        # the sums that newer versions add by default are unknown to some stores, and cost a trailer a request
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=storage.endpoint or None,
        region_name=_region(storage),
        verify=storage.ca_bundle or None,
        config=config,
    )
    client.meta.events.register("response-received.s3", _refuse_other_region)
    return client


def _refuse_other_region(parsed_response: dict[str, Any] | None, event_name: str, **_: Any) -> None:
    """boto3 would go on in the region that the store names, at two requests each; Arrow and delta-rs fail there."""
    from botocore.exceptions import ClientError

    if parsed_response and str(parsed_response.get("Error", {}).get("Code", "")) in _OTHER_REGION:
        raise ClientError(parsed_response, event_name.rpartition(".")[2])


def delta_options(storage: "Storage") -> dict[str, str]:
    """`storage_options` of delta-rs; its authorities it takes from nothing but a variable, which is set for it."""
    with _certificates:  # written once: other threads may read the environment meanwhile
        for name, value in certificate_variables(storage).items():
            if os.environ.get(name) != value:
                os.environ[name] = value
    options = {"AWS_REGION": _region(storage) or DEFAULT_REGION, "conditional_put": "etag"}
    options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = str(not storage.path_style).lower()
    if storage.endpoint:
        options["AWS_ENDPOINT_URL"] = storage.endpoint
        options["AWS_ALLOW_HTTP"] = str(storage.endpoint.startswith("http://")).lower()
    return options


def arrow_file_system(storage: "Storage") -> "S3FileSystem":
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


def certificate_variables(storage: "Storage") -> dict[str, str]:
    """By which delta-rs finds the settings' authorities."""
    return {"SSL_CERT_FILE": storage.ca_bundle} if storage.ca_bundle else {}


def mlflow_environment(storage: "Storage") -> dict[str, str]:
    """The variables by which MLflow and Arrow below it reach artifacts in the store."""
    variables = {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path"} if storage.path_style else {}
    if storage.endpoint:
        variables["MLFLOW_S3_ENDPOINT_URL"] = storage.endpoint
    if storage.region:
        variables["AWS_DEFAULT_REGION"] = storage.region
    if storage.ca_bundle:
        variables["AWS_CA_BUNDLE"] = storage.ca_bundle
    return variables


def hadoop_conf(storage: "Storage") -> dict[str, str]:
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
def reaching(
    storage: "Storage", what: str, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS
) -> Iterator[Any]:
    """boto3's client; what it raises becomes a `StorageError` in one line that names the setting.

    Raises:
        StorageError: the store does not answer, or says no.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield client_of(storage, read_seconds, attempts)
    except (BotoCoreError, ClientError, HTTPClientError) as error:
        raise store_error(storage, what, error) from error


def assert_reachable(storage: "Storage", uri: str, what: str) -> None:
    """Ask the store for the bucket of a URI, once: a wrong setting is told in seconds.

    Args:
        what: names the setting in the message.

    Raises:
        StorageError: the store does not answer, or says no.
    """
    bucket, key = bucket_and_key(uri)
    with reaching(storage, what, ASK_SECONDS, ASK_ATTEMPTS) as client:
        # a LIST, because the answer to a HEAD has no body that says why
        client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)


def code_of(error: Exception) -> str:
    """The code of an answer: `NoSuchKey`, `PreconditionFailed`, `404`; empty where there was no answer."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def store_error(storage: "Storage", what: str, error: Exception) -> StorageError:
    """What went wrong, where, and the setting that mends it; never a credential."""
    return StorageError(f"{what}: object store {storage.endpoint or 'AWS S3'}: {_said(storage, error)}")


def _said(storage: "Storage", error: Exception) -> str:
    from botocore import exceptions as of_boto

    code = code_of(error)
    if code in _OTHER_REGION:
        region = getattr(error, "response", {}).get("Error", {}).get("Region", "")
        wanted = f", the store's is '{region}'" if region else ""
        found = f"storage.region is '{_region(storage) or DEFAULT_REGION}'"
        return f"{found}{wanted}; set STREAMSCORE_STORAGE__REGION={region or 'to the one of the bucket'}"
    if code:
        return _BY_CODE.get(code, f"it answered {code}; look: streamscore doctor")
    if isinstance(error, of_boto.NoCredentialsError | of_boto.PartialCredentialsError):
        return f"found no {_CREDENTIALS}; set them"
    if isinstance(error, of_boto.ProfileNotFound):
        return "AWS_PROFILE names a profile that is not in AWS's files; set it right, or unset it"
    if isinstance(error, of_boto.SSLError):
        return _said_of_tls(storage, str(error))
    if isinstance(error, of_boto.ConnectionClosedError) and storage.endpoint.startswith("http:"):
        return f"it closed the connection without an answer; set {_ENDPOINT} to https:// if the store speaks TLS"
    hosted = "" if storage.path_style or not storage.endpoint else ", or storage.path_style to true"
    return f"no answer ({type(error).__name__}); start it, or set {_ENDPOINT} right{hosted}"


def _said_of_tls(storage: "Storage", said: str) -> str:
    bundle = "storage.ca_bundle (STREAMSCORE_STORAGE__CA_BUNDLE)"
    if "WRONG_VERSION_NUMBER" in said or "record layer" in said:
        return f"it does not speak TLS; set {_ENDPOINT} to http://"
    if "mismatch" in said:
        return f"its certificate is of another host; set {_ENDPOINT} to the name in the certificate"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        trusted = storage.ca_bundle or "the system's authorities"
        return f"its certificate is not signed by one of {trusted}; set {bundle} to the PEM file of its authority"
    return f"no TLS with it; set {bundle} to a PEM file of authorities, or {_ENDPOINT} to http:// if it speaks no TLS"


def _region(storage: "Storage") -> str | None:
    if storage.region or not storage.endpoint:
        return storage.region or None
    known = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return known or DEFAULT_REGION
