"""The `landing` data source of Spark Structured Streaming: its offset is the manifest of the micro-batch.

Spark writes an offset to its checkpoint before the batch runs; so which files belong to a batch is decided once and
replayed after any crash. The source carries manifests, never rows.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxFiles, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from schemas.dialect import ENDINGS
from streamscore.failpoints import arm
from streamscore.landing.announce import Announcer
from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest, LandedFile, by_bytes
from streamscore.storage.stream_paths import StreamPaths

MOST_FILES = 2**31 - 1  # a number that Java counts to
PARTITION_BYTES = 16 * 2**20


class LandingSource(DataSource):
    """Rows: one a landed file, the fields of `LandedFile`.

    Options: `paths` (`StreamPaths` as JSON), `maxFiles`, `maxBytes`, `clean`, `fullLookSeconds`, `listSeconds`,
    `retrySeconds`, `endings` (of landed names, with a space in between), `ahead` (socket of the
    driver); for tests `failAt`, `driverPid`.
    """

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "landing"

    def schema(self) -> str:
        """The columns of a row."""
        return "path string, size long, modified long, etag string, found long, changed boolean"

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: ARG002  PySpark's signature
        """The reader of one query."""
        return LandingReader(dict(self.options))


class _Files(InputPartition):
    def __init__(self, files: list[LandedFile]) -> None:
        self.files = files


class LandingReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Spark's side of the finder; Spark pickles it for its tasks, where it finds nothing."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options
        self._newest = BatchManifest(-1)  # of the one that begins, or of the one after it

    @cached_property
    def _finder(self) -> FileDiscovery:
        options = self._options
        if options.get("failat"):
            arm(options["failat"], int(options["driverpid"]))
        return FileDiscovery(
            DiscoveryOptions(
                paths=StreamPaths.from_json(options["paths"]),
                max_files=int(options["maxfiles"]),
                max_bytes=int(options["maxbytes"]),
                clean=options["clean"],
                full_look_seconds=float(options["fulllookseconds"]),
                list_seconds=float(options["listseconds"]),
                retry_seconds=float(options["retryseconds"]),
                endings=tuple(options.get("endings", " ".join(ENDINGS)).split(" ")),
            )
        )

    @cached_property
    def _announcer(self) -> Announcer:
        return Announcer(self._options["ahead"])

    def initialOffset(self) -> dict[str, Any]:
        """No file yet."""
        return BatchManifest(0).to_offset()

    def getDefaultReadLimit(self) -> ReadLimit:
        """At most `maxFiles` files a batch; `maxBytes` is kept to as well."""
        return ReadMaxFiles(min(int(self._options["maxfiles"]), MOST_FILES))

    def prepareForTriggerAvailableNow(self) -> None:
        """Take what is there now, and nothing that comes later."""
        self._finder.drain()

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:
        """The manifest after `start`, or `start`."""
        begun = self._newest if self._newest.seq == start["seq"] else BatchManifest.from_offset(start)
        self._newest = self._finder.after(begun, getattr(limit, "max_files", self._finder.max_files))
        self._finder.troubles.tell(self._announcer.tell)
        if self._newest.seq == begun.seq:
            return start  # nothing is new: as it came, which costs the same however many files it names
        offset = self._newest.to_offset()
        self._announcer.announce(offset)
        return offset

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:  # noqa: ARG002
        """The files of the batch, in groups of about `PARTITION_BYTES`."""
        return [_Files(group) for group in by_bytes(BatchManifest.from_offset(end).files, PARTITION_BYTES)]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        """One row a file."""
        for f in partition.files:  # type: ignore[attr-defined]
            yield f.path, f.size, f.modified, f.etag, f.found, f.changed

    def commit(self, end: dict[str, Any]) -> None:
        """Nothing: Spark never calls it again after a crash, so it cannot carry the ledger."""

    def stop(self) -> None:
        """Stop watching the folder."""
        if "_finder" in self.__dict__:
            self._finder.close()
