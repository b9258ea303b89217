"""Where a stream reads and writes: its folders as the settings name them, and making them."""

import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from schemas.errors import SettingsError, StorageError
from streamscore.storage.folder import Folder
from streamscore.storage.object_store import assert_reachable, is_object_uri
from streamscore.storage.places import assert_readable_by_delta, open_folder, place
from streamscore.storage.sync import make_folder

if TYPE_CHECKING:  # settings take 0.4 s to import, which the source of a local stream does not pay
    from schemas.feed import Feed
    from schemas.settings import Settings, Storage


@dataclass(frozen=True, slots=True)
class StreamPaths:
    """The places of a feed's stream, whether they are there or not.

    Attributes:
        tables: an absolute path or `s3://…`.
        scratch: a folder of this machine, for model versions and for the code that executors get.
        storage: how the object store is reached; None where nothing of the stream is in it.
        names_landing: the landing folder is not the default one, and so may be mistyped.
        cleans: processed files are moved or deleted.
    """

    landing: Folder
    tables: str
    checkpoint: Folder
    scratch: Path
    storage: "Storage | None" = None
    names_landing: bool = False
    cleans: bool = True

    @classmethod
    def of(cls, feed: "Feed", settings: "Settings") -> Self:
        """Those of the settings.

        Raises:
            SettingsError: one is neither a path nor `s3://…`; or delta-rs would look for the tables elsewhere.
        """
        given = {"--landing": settings.landing, "--tables": settings.tables.path, "--checkpoint": settings.checkpoint}
        landing, tables, checkpoint = (_place(flag, text, feed.name) for flag, text in given.items())
        assert_readable_by_delta(tables)
        scratch = place(settings.scratch, feed.name) if is_object_uri(checkpoint) else checkpoint
        names = settings.landing != type(settings).model_fields["landing"].default
        cleans = settings.streaming.clean != "off"
        opened = cls._open(landing, tables, checkpoint, scratch, settings.storage)
        return replace(opened, names_landing=names, cleans=cleans)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` made, in another process."""
        body = json.loads(text)
        storage = body.pop("storage")
        if storage is not None:
            from schemas.settings import Storage

            storage = Storage.model_validate(storage)
        return cls._open(**body, storage=storage)

    def to_json(self) -> str:
        """As text, for a process of another kind."""
        storage = self.storage.model_dump(mode="json") if self.storage and self.is_in_store else None
        places = {"landing": self.landing.uri, "tables": self.tables, "checkpoint": self.checkpoint.uri}
        return json.dumps(places | {"scratch": str(self.scratch), "storage": storage})

    @property
    def results(self) -> tuple[Folder, Folder]:
        """Where everything lies that takes a processed file's place: tables and checkpoint."""
        return open_folder(self.tables, self.storage), self.checkpoint

    @property
    def uris(self) -> dict[str, str]:
        """The setting's flag → its place."""
        return {"--landing": self.landing.uri, "--tables": self.tables, "--checkpoint": self.checkpoint.uri}

    @property
    def is_in_store(self) -> bool:
        """Whether one of them is in an object store."""
        return any(map(is_object_uri, self.uris.values()))

    def table(self, name: str) -> str:
        """Where a table is."""
        return f"{self.tables.rstrip('/')}/{name}"

    def assert_reachable(self, *flags: str) -> None:
        """Ask the object store for what is in it, before `deltalake` does, which tries a bad endpoint for minutes.

        Args:
            flags: for these settings alone.

        Raises:
            StorageError: it does not answer, or says no; names the setting.
        """
        for flag in flags or self.uris:
            uri = self.uris[flag]
            if is_object_uri(uri):
                assert self.storage is not None
                assert_reachable(self.storage, uri, f"{flag} {uri}")

    def make(self) -> None:
        """Make the folders that are missing, but for a landing folder that somebody named; buckets are not made.

        Raises:
            StorageError: one cannot be made, reached or written, or a landing folder is not there.
        """
        for flag, uri in self.uris.items():
            if is_object_uri(uri):
                self.assert_reachable(flag)
                continue
            if flag == "--landing" and self.names_landing and not os.path.lexists(uri):
                msg = f"{flag} {uri}: no such folder, wanted the one that files land in; mkdir -p {shlex.quote(uri)}"
                raise StorageError(msg)
            _make(Path(uri), flag, writes=flag != "--landing" or self.cleans)
        if self.checkpoint.is_remote:
            _make(self.scratch, "--scratch")

    @classmethod
    def _open(cls, landing: str, tables: str, checkpoint: str, scratch: str, storage: "Storage | None") -> Self:
        return cls(open_folder(landing, storage), tables, open_folder(checkpoint, storage), Path(scratch), storage)


def _place(flag: str, given: str, feed: str) -> str:
    try:
        return place(given, feed)
    except SettingsError as error:
        msg = f"{flag}: {error}"
        raise SettingsError(msg) from error


def _make(path: Path, flag: str, *, writes: bool = True) -> None:
    try:
        make_folder(path)
    except OSError as error:
        msg = f"{flag} {path}: {error.strerror}, wanted a folder; choose another"
        raise StorageError(msg) from error
    if not os.access(path, os.X_OK | (os.W_OK if writes else os.R_OK)):
        how = "written" if writes else "read"
        msg = f"{flag} {path} cannot be {how} by this user, wanted a folder that can; chown it"
        raise StorageError(msg)
