"""Following the registry: a promoted version is made ready beside the old one and takes over between micro-batches."""

import json
import math
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa
import structlog

from schemas.errors import ContractError, RegistryError, StreamscoreError
from schemas.feed import Feed
from streamscore.failpoints import fail_at
from streamscore.models.load import LoadedModel, assert_output, load_version
from streamscore.registry.allow_list import assert_folder_loadable
from streamscore.registry.manifest import take_manifest
from streamscore.registry.model_uri import MANIFEST, ModelRef
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry
from streamscore.registry.requirements import requirements_differences
from streamscore.storage.folder import Folder
from streamscore.storage.journal import Journal

log = structlog.get_logger()

SILENCE_SECONDS = 30.0  # of the registry, then it is told as down; with a poll before it, within 60 s of the outage
RETRY_POLLS = 10  # between two tries to fetch a version whose artifacts cannot be read


class EventSink(Protocol):
    """Who wants to know: `swapped`, `refused`, `requirements`, `unverified`, `registry_down` or `registry_up`."""

    def __call__(self, kind: str, name: str, version: str, detail: str, batch_id: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class AcceptedVersion:
    """From which micro-batch on a version scores.

    Attributes:
        path: the folder of its files, on the machine that scored.
        digest: of their manifest; empty in lines that older releases wrote.
    """

    from_batch: int
    model: ModelVersion
    path: str
    digest: str = ""

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """A line of the journal."""
        body = json.loads(line)
        model = ModelVersion(body.pop("name"), body.pop("version"), body.pop("run_id"))
        return cls(model=model, **body)

    def to_json(self) -> bytes:
        """Its line in the journal."""
        body = {"from_batch": self.from_batch, **asdict(self.model), "path": self.path, "digest": self.digest}
        return json.dumps(body).encode()


class ModelRecords:
    """The journal `models` of a checkpoint: durable before a micro-batch is scored, so a replay uses that version."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._records = [AcceptedVersion.from_json(line) for line in journal.lines()]

    @property
    def last(self) -> AcceptedVersion | None:
        """The version accepted last."""
        return self._records[-1] if self._records else None

    def of_batch(self, batch_id: int) -> AcceptedVersion | None:
        """What scores, or scored, that micro-batch."""
        return next((r for r in reversed(self._records) if r.from_batch <= batch_id), None)

    def append(self, record: AcceptedVersion) -> None:
        """Make durable that a version scores from a micro-batch on."""
        fail_at("model_record:before", record.from_batch)
        self._journal.append(record.to_json())
        self._records.append(record)
        fail_at("model_record:after", record.from_batch)


class ModelWatcher:
    """The model of each micro-batch.

    A version that may not be loaded, breaks the contract, fails to load or changes the output's type is refused, and
    the old one goes on, after a restart too. So it does while the registry is down.
    """

    def __init__(
        self, uri: str, feed: Feed, registry: Registry, checkpoint: Folder, scratch: Path, tell: EventSink
    ) -> None:
        self._uri, self._feed, self._registry, self._tell = uri, feed, registry, tell
        self._records = ModelRecords(checkpoint.open_journal("models"))
        self._folder = scratch / "models"
        self._loaded: dict[str, LoadedModel] = {}
        self._digests: dict[str, str] = {}  # folder → digest of its files before they were loaded
        self._not_before: dict[
            tuple[ModelVersion, str], float
        ] = {}  # refused version → when it is tried again, if ever
        self._unverified: set[tuple[ModelVersion, str]] = set()
        self._lock = threading.Lock()
        self._next: LoadedModel | None = None
        self._stop = threading.Event()
        self._poll_seconds = 0.0
        self._registry_up = True
        self._replay_until = -1
        self._output: pa.DataType | None = None
        self.current: LoadedModel | None = None

    def start(
        self, output: pa.DataType | None, replay_until: int, poll_seconds: float, start_without: bool = False
    ) -> LoadedModel:
        """Make the version of the URI ready, or else the one accepted last, and begin to poll.

        Args:
            output: the prediction column's type if the table is there already.
            replay_until: micro-batches up to this one use the version recorded for them.
            start_without: with no word from the registry, go on with the version accepted last, if its files are here.

        Raises:
            ContractError: the version does not fit, and none was accepted before.
            RegistryError: the registry does not answer, or has no such version.
        """
        self._replay_until, self._output, self._poll_seconds = replay_until, output, poll_seconds
        last = self._records.last
        try:
            ref = self._registry.resolve(self._uri, self._feed.name)
        except RegistryError as error:
            if last is None or not start_without:
                raise
            self.current = self._recorded(last)
            self._registry_answers(False, str(error))
        else:
            try:
                self.current = self._ready(ref)
            except StreamscoreError as error:
                if last is None:
                    raise
                self._refuse(ref, error)
                self.current = self._recorded(last)
        self._output = self.current.output
        threading.Thread(target=self._poll, name="model-poll", daemon=True).start()
        return self.current

    @property
    def ready(self) -> LoadedModel | None:
        """What scores the next micro-batch, unless it is a replay or another version gets ready until then."""
        return self._next or self.current

    def for_batch(self, batch_id: int) -> LoadedModel:
        """The model of a micro-batch: the recorded one for a replay, else the newest that is ready; then recorded."""
        record = self._records.of_batch(batch_id)
        if record and batch_id <= self._replay_until:
            return self._recorded(record)
        with self._lock:
            swapped, self._next = self._next, None
        if swapped:
            self.current = swapped
            self._tell("swapped", swapped.name, swapped.version, f"from batch {batch_id} on", batch_id)
        self._drop_others()
        model = self.current
        if model is None:
            msg = "for_batch before start"
            raise RuntimeError(msg)
        digest = self._digests[model.path]
        if record is None or (record.path, record.model.version, record.digest) != (model.path, model.version, digest):
            self._records.append(AcceptedVersion(batch_id, model.identity, model.path, digest))
        return model

    def stop(self) -> None:
        """Stop polling."""
        self._stop.set()

    def _poll(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            silence = threading.Timer(
                SILENCE_SECONDS, self._registry_answers, (False, f"silent for {SILENCE_SECONDS} s")
            )
            silence.daemon = True
            try:
                silence.start()
                ref = self._registry.resolve(self._uri, self._feed.name)
                silence.cancel()
                self._registry_answers(True)
                self._look(ref)
            except RegistryError as error:
                self._registry_answers(False, str(error))
            except Exception:  # the stream goes on with the model it has
                log.exception("model poll failed")
            finally:
                silence.cancel()

    def _registry_answers(self, up: bool, detail: str = "") -> None:
        """Tell of a change, once; the model that goes on is named with it."""
        if up == self._registry_up or self._stop.is_set():
            return
        self._registry_up = up
        model = self.current
        name, version = (model.name, model.version) if model else ("", "")
        self._tell("registry_up" if up else "registry_down", name, version, detail or f"{self._uri} can be asked again")

    def _look(self, ref: ModelRef) -> None:
        current = self.ready
        if current and ref.model == current.identity:
            return
        if time.monotonic() < self._not_before.get(_key(ref), 0.0):
            return
        try:
            model = self._ready(ref)
        except StreamscoreError as error:
            self._refuse(ref, error)
            return
        with self._lock:
            self._next = None if self.current and self.current.identity == model.identity else model
        self._drop_others()

    def _ready(self, ref: ModelRef) -> LoadedModel:
        """Download and verify, check, warm up."""
        path = self._registry.download(ref, self._folder)
        model = self._load(path, ref.model)
        if not ref.has_manifest and _key(ref) not in self._unverified:
            self._unverified.add(_key(ref))
            act = f"next: {ref.promote_command}" if ref.registered else "register it to have one"
            self._tell("unverified", ref.name, ref.version, f"scores without a manifest of its files; {act}")
        for difference in requirements_differences(path):
            self._tell("requirements", ref.name, ref.version, difference)
        return model

    def _load(self, path: Path, identity: ModelVersion) -> LoadedModel:
        model = self._loaded.get(str(path))
        if model is None:
            self._digests[str(path)] = take_manifest(path).digest
            model = load_version(path, self._feed, identity)
            self._loaded[str(path)] = model
        if self._output is not None:
            assert_output(model, self._output)
        return model

    def _drop_others(self) -> None:
        """Hold no version that scores no more: with the last who holds it, its memory and its process go."""
        self._loaded = {model.path: model for model in (self.current, self._next) if model}

    def _recorded(self, record: AcceptedVersion) -> LoadedModel:
        """A version accepted before: its files here if they still are those, else fetched from the registry again.

        Raises:
            ContractError: the registry has other files by now, or the settings do not allow them any more.
            RegistryError: they are not here, and cannot be fetched.
        """
        path, model = Path(record.path), record.model.title
        loaded = self._digests.get(str(path)) if str(path) in self._loaded else None
        if loaded is None or record.digest not in ("", loaded):
            if record.digest and path.is_dir() and take_manifest(path).digest == record.digest:
                assert_folder_loadable(path, model, self._registry.models)
            else:
                path = self._registry.download(self._registry.resolve(record.model.uri, self._feed.name), self._folder)
                if record.digest and take_manifest(path).digest != record.digest:
                    msg = (
                        f"model {model} has other files than when it scored from batch {record.from_batch} on; "
                        f"put back the files that were registered"
                    )
                    raise ContractError(msg)
        return self._load(path, record.model)

    def _refuse(self, ref: ModelRef, error: StreamscoreError) -> None:
        """Tell of it once a version; one whose files could not be read is tried again, now and then."""
        for_good = isinstance(error, ContractError)
        told = self._not_before.get(_key(ref))
        self._not_before[_key(ref)] = math.inf if for_good else time.monotonic() + RETRY_POLLS * self._poll_seconds
        if told is None or for_good:
            self._tell("refused", ref.name, ref.version, str(error))


def _key(ref: ModelRef) -> tuple[ModelVersion, str]:
    """A version and its manifest: refused for having none, it is looked at again once it was given one."""
    return ref.model, ref.tags.get(MANIFEST, "")
