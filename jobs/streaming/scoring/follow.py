"""Following the registry: a promoted version is made ready beside the old one and takes over between micro-batches."""

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import structlog

from jobs.streaming.failpoints import fail_at
from jobs.streaming.scoring.model import Model, load_model
from schemas.errors import ContractError, RegistryError, StreamscoreError
from schemas.feed import Feed
from schemas.model_uri import ModelRef
from schemas.registry import Registry
from schemas.requirements import requirements_differences

log = structlog.get_logger()


class Tell(Protocol):
    """Who wants to know: kind is `swapped`, `refused` or `requirements`."""

    def __call__(self, kind: str, name: str, version: str, detail: str, batch_id: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Record:
    """From which micro-batch on a version scores; `path` is the folder of its files."""

    from_batch: int
    name: str
    version: str
    run_id: str
    path: str


class ModelRecords:
    """`models.jsonl` of a checkpoint: durable before a micro-batch is scored, so a replay uses the same version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text("utf-8") if path.exists() else ""
        # a line that a crash tore has no line end; its batch was never scored
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, "utf-8")
        self._records = [Record(**json.loads(line)) for line in whole.splitlines()]

    @property
    def last(self) -> Record | None:
        """The version accepted last."""
        return self._records[-1] if self._records else None

    def of_batch(self, batch_id: int) -> Record | None:
        """What scores, or scored, that micro-batch."""
        return next((r for r in reversed(self._records) if r.from_batch <= batch_id), None)

    def append(self, record: Record) -> None:
        """Make durable that a version scores from a micro-batch on."""
        fail_at("model_record:before", record.from_batch)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._records.append(record)
        fail_at("model_record:after", record.from_batch)


class Follower:
    """The model of each micro-batch.

    A version that breaks the contract, fails to load or changes the output's type is refused, and the old one goes on,
    after a restart too.
    """

    def __init__(self, uri: str, feed: Feed, registry: Registry, checkpoint: Path, tell: Tell) -> None:
        self._uri, self._feed, self._registry, self._tell = uri, feed, registry, tell
        self._records = ModelRecords(checkpoint / "models.jsonl")
        self._folder = checkpoint / "models"
        self._loaded: dict[str, Model] = {}
        self._refused: set[tuple[str, str, str]] = set()
        self._told: tuple[str, str, str] | None = None
        self._lock = threading.Lock()
        self._next: Model | None = None
        self._stop = threading.Event()
        self._replay_until = -1
        self._output: pa.DataType | None = None
        self.current: Model | None = None

    def start(self, output: pa.DataType | None, replay_until: int, poll_seconds: float) -> Model:
        """Make the version of the URI ready, or else the one accepted last, and begin to poll.

        Args:
            output: the prediction column's type if the table is there already.
            replay_until: micro-batches up to this one use the version recorded for them.

        Raises:
            ContractError: the version does not fit, and none was accepted before.
            RegistryError: the registry does not answer, or has no such version.
        """
        self._replay_until, self._output = replay_until, output
        ref = self._registry.resolve(self._uri, self._feed.name)
        try:
            self.current = self._ready(ref)
        except StreamscoreError as error:
            if self._records.last is None:
                raise
            self._refuse(ref, error)
            self.current = self._recorded(self._records.last)
        self._output = self.current.output
        threading.Thread(target=self._poll, args=(poll_seconds,), name="model-poll", daemon=True).start()
        return self.current

    def for_batch(self, batch_id: int) -> Model:
        """The model of a micro-batch: the recorded one for a replay, else the newest that is ready; then recorded."""
        record = self._records.of_batch(batch_id)
        if record and batch_id <= self._replay_until:
            return self._recorded(record)
        with self._lock:
            swapped, self._next = self._next, None
        if swapped:
            self.current = swapped
            self._loaded = {swapped.path: swapped}
            self._tell("swapped", swapped.name, swapped.version, f"from batch {batch_id} on", batch_id)
        model = self.current
        if model is None:
            raise RuntimeError("for_batch before start")
        if record is None or (record.path, record.version) != (model.path, model.version):
            self._records.append(Record(batch_id, model.name, model.version, model.run_id, model.path))
        return model

    def stop(self) -> None:
        """Stop polling."""
        self._stop.set()

    def _poll(self, seconds: float) -> None:
        reachable = True
        while not self._stop.wait(seconds):
            try:
                self._look()
                reachable = True
            except RegistryError as error:
                if reachable:  # once, not every two seconds
                    log.warning("registry unreachable, the model stays", error=str(error))
                reachable = False
            except Exception:  # the stream goes on with the model it has
                log.exception("model poll failed")

    def _look(self) -> None:
        ref = self._registry.resolve(self._uri, self._feed.name)
        current = self._next or self.current
        if _key(ref) in self._refused or (current and (ref.name, ref.version, ref.run_id) == _identity(current)):
            return
        try:
            model = self._ready(ref)
        except StreamscoreError as error:
            self._refuse(ref, error)
            return
        with self._lock:
            self._next = None if self.current and _identity(self.current) == _identity(model) else model

    def _ready(self, ref: ModelRef) -> Model:
        """Download, check, warm up."""
        path = self._registry.download(ref, self._folder)
        model = self._load(path, ref.name, ref.version, ref.run_id)
        for difference in requirements_differences(path):
            self._tell("requirements", ref.name, ref.version, difference)
        return model

    def _load(self, path: Path, name: str, version: str, run_id: str) -> Model:
        if str(path) not in self._loaded:
            try:
                model = load_model(path, self._feed, name, version, run_id)
            except ContractError:
                raise
            except Exception as error:
                raise ContractError(
                    f"model {name} v{version} does not load: {type(error).__name__}: {error}; "
                    f"try it: mlflow.pyfunc.load_model('models:/{name}/{version}')"
                ) from error
            self._loaded[str(path)] = model
        model = self._loaded[str(path)]
        if self._output is not None and model.output != self._output:
            raise ContractError(
                f"model {name} v{version} predicts {model.output}, the predictions table holds {self._output}; "
                f"promote a version with the same output, or write to other tables: --tables DIR"
            )
        return model

    def _recorded(self, record: Record) -> Model:
        return self._load(Path(record.path), record.name, record.version, record.run_id)

    def _refuse(self, ref: ModelRef, error: StreamscoreError) -> None:
        """Once a version; one that only could not be fetched is tried again."""
        if isinstance(error, ContractError):
            self._refused.add(_key(ref))
        if self._told == _key(ref):
            return
        self._told = _key(ref)
        self._tell("refused", ref.name, ref.version, str(error))


def _key(ref: ModelRef) -> tuple[str, str, str]:
    return ref.name, ref.version, ref.run_id


def _identity(model: Model) -> tuple[str, str, str]:
    return model.name, model.version, model.run_id
