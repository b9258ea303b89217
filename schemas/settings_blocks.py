"""The blocks of the settings: what each key means, its unit, its bounds and its default.

`docs/settings.md` is generated from the descriptions here: `python -m scripts.settings_reference`.
"""

import math
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

LARGEST = {
    float: 1e9,
    int: 2**63 - 1,
}  # 30 years in seconds, which every clock and lock takes; what Java and Arrow hold


class Block(BaseModel):
    """Unknown keys are refused, nothing is changed later, and a number is one that can be waited for and counted to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _is_no_endless_number(cls, value: Any) -> Any:
        largest = LARGEST.get(type(value), math.inf)
        if type(value) in LARGEST and not abs(value) <= largest:
            msg = f"found {value:g}, wanted a number up to {largest:,}"
            raise ValueError(msg)
        return value


class Registry(Block):
    """The MLflow registry that models come from."""

    tracking_uri: str = Field(
        "",
        description="URI of the MLflow tracking server or database. If it is empty, `MLFLOW_TRACKING_URI` decides, "
        "and without that a SQLite file, `var/mlflow.db`.",
    )
    registry_uri: str = Field(
        "",
        description="URI of the model registry. If it is empty, `MLFLOW_REGISTRY_URI` decides, and without that the "
        "tracking URI.",
    )
    poll_seconds: float = Field(
        2.0, gt=0, description="How often a running stream asks the registry for a new version, in seconds."
    )
    start_without: bool = Field(
        False,
        description="If the registry does not answer at the start, the stream starts with the version that the "
        "checkpoint accepted last. Otherwise the start ends with exit code 4.",
    )


class Store(Block):
    """The model store, which `store:/` URIs are of: versions in a folder or bucket, without an MLflow server."""

    path: str = Field(
        "var/store",
        description="A folder or `s3://BUCKET/PREFIX`, with versions in `models/` there; or `mlflow`, which is the "
        "MLflow registry.",
    )


class Models(Block):
    """Which model versions may be loaded. A version's files are judged before anything of it is imported."""

    manifest: Literal["required", "warn"] = Field(
        "required",
        description="What happens to a version without a manifest of SHA-256 digests. `required` refuses it; `warn` "
        "uses it and writes one event `unverified`. The profile `local` sets `warn`.",
    )
    flavors: tuple[str, ...] = Field(
        ("python_function", "sklearn"),
        description="The MLflow flavors that a model may have. All of them must be listed.",
    )
    loader_modules: tuple[str, ...] = Field(
        ("mlflow.sklearn", "mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"),
        description="The modules that a model may name as its loader.",
    )
    formats: tuple[str, ...] = Field(
        ("skops", "code"),
        description="How the model itself may be stored: `skops`, `code`, `cloudpickle` or `pickle`. The last two can "
        "run any code when they are loaded. A loader module that is not one of the default three counts as `pickle`.",
    )
    skops_types: tuple[str, ...] = Field(
        (
            "numpy.dtype",
            "sklearn.tree._tree.Tree",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        ),
        description="The types that skops may trust beyond its own list. The defaults are what `SimpleImputer`, then "
        "trees, forests and gradient boosting, then histogram gradient boosting need.",
    )


class Storage(Block):
    """How to reach the object store behind every `s3://` location. Credentials are not settings."""

    endpoint: str = Field(
        "",
        description="`http://HOST:PORT` or `https://HOST:PORT` of the object store. If it is empty, the store is AWS.",
    )
    region: str = Field(
        "",
        pattern="^[A-Za-z0-9-]*$",
        description="The region of the bucket. If it is empty, `AWS_REGION` decides, then AWS's configuration files, "
        "then `us-east-1`.",
    )
    path_style: bool = Field(
        False,
        description="Address buckets as `http://HOST/BUCKET/KEY` instead of `http://BUCKET.HOST/KEY`. "
        "MinIO and versitygw need `true`.",
    )
    ca_bundle: str = Field(
        "", description="A PEM file of the certificate authorities to trust instead of the system's authorities."
    )
    retry_seconds: float = Field(
        300.0,
        ge=0,
        description="How long a micro-batch is tried again after storage failed it, in seconds.",
    )

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, given: str) -> str:
        url = urlsplit(given)
        if "@" in url.netloc:  # not repeated in the message
            msg = "no place for credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
            raise ValueError(msg)
        if given and (url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query):
            msg = f"wanted http://HOST:PORT or https://HOST:PORT, found '{given}'"
            raise ValueError(msg)
        return given.rstrip("/")


class Tables(Block):
    """Where the tables are, who writes them, and how they are maintained."""

    path: str = Field("var/tables/{feed}", description="The folder of the feed's tables, or `s3://BUCKET/PREFIX`.")
    writer: Literal["delta-rs", "delta-spark"] = Field(
        "delta-rs",
        description="Who writes the tables: the driver with delta-rs, or Spark for catalogs that need it.",
    )
    checkpoint_every: int = Field(
        100, gt=0, description="The number of commits between two checkpoints of a table's log."
    )
    maintain_every: float = Field(
        600.0,
        ge=0,
        description="The time between two rounds of maintenance inside a run, in seconds. 0 turns maintenance off.",
    )
    maintain_commits: int = Field(
        1000, gt=0, description="The number of micro-batches after which a round of maintenance starts early."
    )
    target_bytes: int = Field(
        64 * 2**20,
        ge=2**20,
        description="The size of the files that compaction writes, in bytes. Files smaller than a quarter of it are "
        "compacted.",
    )
    keep_log_hours: float = Field(
        168.0,
        ge=1,
        description="How long log entries are kept after a checkpoint of the log replaced them, in hours. A reader "
        "that follows the table may pause for as long.",
    )
    # Delta's log forgets removed files after 168 hours, so they cannot be kept longer.
    keep_files_hours: float = Field(
        168.0,
        ge=1,
        le=168,
        description="How long files are kept after they left the table, in hours. Older versions of the table stay "
        "readable for as long.",
    )


class Streaming(Block):
    """How micro-batches are cut, and where they are scored."""

    mode: Literal["auto", "driver", "executors"] = Field(
        "auto",
        description="Where micro-batches are scored. `auto` scores large ones on executors and all others in the "
        "driver.",
    )
    trigger: str = Field(
        "0s",
        description="The time between two micro-batches, such as `0s` or `5 minutes`; or `available-now`, which "
        "processes what is there and ends.",
    )
    max_files: int = Field(1000, gt=0, description="The largest number of files in one micro-batch.")
    max_bytes: int = Field(
        256 * 2**20,
        gt=0,
        description="The largest total size of the files in one micro-batch, in bytes as they are on disk.",
    )
    clean: Literal["off", "archive", "delete"] = Field(
        "off", description="What happens to processed files: they stay, are moved to an archive, or are deleted."
    )
    driver_bytes: int = Field(
        64 * 2**20,
        ge=0,
        description="The size up to which `auto` scores a micro-batch in the driver, in bytes.",
    )
    chunk_rows: int = Field(65_536, gt=0, description="The largest number of rows in one call of the model.")
    full_look_seconds: float = Field(
        60.0,
        gt=0,
        description="The time between two full listings of the landing folder, in seconds. In between, inotify "
        "reports new files. Where it cannot, as on NFS, the folder is listed more often.",
    )
    list_seconds: float = Field(
        0.05, gt=0, description="The shortest time between two LIST requests to an object store, in seconds."
    )
    lease: bool = Field(
        True,
        description="Allow only one driver for each checkpoint. Turn it off only in tests: two drivers then end in a "
        "conflict.",
    )


class Spark(Block):
    """Spark's own settings."""

    master: str = Field("local[*]", description="The Spark master. `spark-submit.sh` ignores it.")
    driver_memory: str = Field("1g", description="The memory of the driver's JVM. `spark-submit.sh` ignores it.")
    conf: dict[str, str] = Field(
        {},
        description="More of Spark's settings, passed on unchanged; in the variable as JSON. They win over the "
        "`conf/spark.conf` that comes with streamscore.",
    )


class Metrics(Block):
    """The Prometheus metrics of a run."""

    port: int = Field(0, ge=0, le=65535, description="The port that serves metrics. 0 serves none.")
    host: str = Field("127.0.0.1", description="The address that serves metrics.")


class RequestLog(Block):
    """The log of requests to the online service: the table `requests` beside a feed's predictions."""

    share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="The share of the requests that is logged, whatever became of them. 0 turns the log off.",
    )
    leave_out: tuple[str, ...] = Field(
        (),
        description="The columns whose values are not logged, by their names in requests. With one or more of them, "
        "bodies that were not understood and refused lines of CSV are not logged either.",
    )
    spool: str = Field(
        "var/spool",
        description="A folder on this machine for what is in no table yet. Each process has a folder of its own there.",
    )
    spool_bytes: int = Field(
        2**30,
        gt=0,
        description="The most bytes in the spool of a process. Requests beyond them are counted as lost.",
    )
    keep_days: float | None = Field(
        None,
        gt=0,
        description="How many days rows stay in `requests`; maintenance deletes older ones. `null` keeps them.",
    )


class Testing(Block):
    """Only for streamscore's own tests."""

    fail_points: bool = Field(
        False, description="Let `STREAMSCORE_FAIL_AT` kill the process at a named point, for tests of streamscore."
    )
