"""The versions of all routes: chosen when they are first wanted, then followed in the registry, as the routes are."""

import math
import threading
import time
from concurrent.futures import Future, as_completed
from contextlib import suppress

import pyarrow as pa
import structlog

from jobs.streaming.routed.load import VersionLoader
from jobs.streaming.routed.records import RoutedRecords
from jobs.streaming.routed.snapshot import Choice, Snapshot, SnapshotRouter
from schemas.errors import ContractError, NoRoomError, RegistryError, SettingsError, StreamscoreError
from schemas.settings import Settings
from streamscore.models.cache import Limits, ModelCache
from streamscore.models.lease import Lease
from streamscore.models.row_model import Model
from streamscore.models.watch import RETRY_POLLS, EventSink
from streamscore.registry.registry import Registry
from streamscore.registry.version_key import VersionKey, is_missing, may_move, resolve_key, version_in
from streamscore.routing.followed import FollowedRoutes
from streamscore.routing.routes import RouteTable
from streamscore.scoring.routed import NoModel

log = structlog.get_logger()

FEW = 20  # URIs that are asked for one by one, and loaded before the first micro-batch
SHOWN = 10  # models in a line of the log


class RoutedModels:
    """The models of a routed feed's stream.

    A version that may not be loaded, does not fit the feed or predicts another type is refused, and the one that scored
    before goes on. So it does while the registry is down. All changes come between micro-batches.

    Attributes:
        loader: what loads them.
        cache: what keeps them.
        limits: of the models in memory.
        snapshot: by which the next micro-batch is scored; replaced as a whole.
        text_columns: as in `Router`.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        routes: FollowedRoutes,
        records: RoutedRecords,
        loader: VersionLoader,
        limits: Limits,
        tell: EventSink,
    ) -> None:
        self._settings, self._registry, self._routes = settings, registry, routes
        self._records, self.loader, self._tell = records, loader, tell
        self.limits, self.cache = limits, ModelCache[VersionKey, Model](loader, limits)
        self._not_before: dict[tuple[str, VersionKey], float] = {}  # refused → when it is tried again, if ever
        self._stop = threading.Event()
        self._registry_up, self._is_starting = True, True
        self._replay_until = -1
        self._replayed: Snapshot | None = None
        self.text_columns: frozenset[str] = frozenset()
        self.snapshot = Snapshot(0, RouteTable(""), "")

    def start(self, output: pa.DataType | None, replay_until: int) -> pa.DataType:
        """Choose and load the first models, and begin to follow routes and registry.

        Args:
            output: the prediction column's type if the table is there already.
            replay_until: micro-batches up to this one use the routes and versions that were recorded.

        Returns:
            The type of the predictions.

        Raises:
            SettingsError: the routes name no model.
            ContractError: none of the first models fits the feed.
            RegistryError: the registry does not answer.
        """
        self._replay_until, self.loader.output = replay_until, output
        self.loader.remember(self._records.versions)
        table = self._routes.table
        uris = table.models()
        if not uris:
            msg = (
                f"feed {self.loader.feed.name} is routed, and no route in {self._settings.routing.routes} has a "
                f"model; write one into it, or set routing.routes: docs/routing.md"
            )
            raise SettingsError(msg)
        self.snapshot = Snapshot(1, table, self._records.keep(table))
        ready = self._load_first(uris[:FEW])
        self._is_starting = False
        shown = [f"{model.name} v{model.version}" for model in ready]
        more = f" and {len(uris) - len(shown)} more" if len(uris) > len(shown) else ""
        log.info("routed", routes=table.version, models=", ".join(shown[:SHOWN]) + more)
        threading.Thread(target=self._follow, name="model-poll", daemon=True).start()
        assert self.loader.output is not None
        return self.loader.output

    def stop(self) -> None:
        """Follow nothing more."""
        self._stop.set()
        self.cache.close()

    def router(self, batch_id: int) -> SnapshotRouter:
        """The models of a micro-batch: of a replay those that were recorded, else the newest."""
        if batch_id > self._replay_until or self._records.is_empty:
            return SnapshotRouter(self, self.snapshot)
        if self._replayed is None:
            choices: dict[str, Choice] = {uri: one.key for uri, one in self._records.versions.items()}
            table = self._records.table()
            routes = self._records.routes if table else self.snapshot.routes
            self._replayed = Snapshot(0, table or self.snapshot.table, routes, choices)
        return SnapshotRouter(self, self._replayed)

    def note(self, batch_id: int, router: SnapshotRouter) -> None:
        """Make durable what scored a micro-batch, before it is committed."""
        scored = {uri: self.loader.used(key) for uri, key in router.used.items()}
        self._records.note(batch_id, router.snapshot.routes, scored)

    def choose(self, snapshot: Snapshot, uri: str, is_trial: bool = False) -> Choice:
        """As `Models.choose`; asks the registry once for a snapshot."""
        found = snapshot.choices.get(uri)
        if found is None:
            found = snapshot.choices.setdefault(uri, self._newest(uri, is_trial))  # the early thread may be first
        return found

    def ask(self, key: VersionKey) -> "Future[Lease[Model]]":
        """The model of a version, loaded if it is not in memory."""
        return self.cache.ask(key)

    def refuse(self, snapshot: Snapshot, uri: str, error: Exception, is_trial: bool = False) -> None:
        """As `Models.refuse`: the one that scored before goes on, if another one did."""
        key = snapshot.choices[uri]
        assert isinstance(key, VersionKey)
        if not isinstance(error, ContractError | RegistryError):  # no room now, or a fault of ours
            raise error
        self._note_refusal(uri, key, error)
        before = self._records.versions.get(uri)
        if before and before.key != key:
            snapshot.choices[uri] = before.key
        elif isinstance(error, ContractError) or (is_trial and isinstance(error, RegistryError)):
            snapshot.choices[uri] = NoModel(_first_line(error))
        else:
            raise error

    def resolve(self, uri: str) -> VersionKey:
        """The version that a URI stands for now, by the registry."""
        return resolve_key(self._registry, uri, self.loader.feed.name)

    def _newest(self, uri: str, is_trial: bool) -> Choice:
        try:
            return self.resolve(uri)
        except RegistryError as error:
            before = self._records.versions.get(uri)
            if is_missing(error) or is_trial:
                return NoModel(_first_line(error).partition("; ")[0])
            if before is None or (self._is_starting and not self._settings.registry.start_without):
                raise
            self._registry_answers(False, str(error))
            return before.key

    def _load_first(self, uris: list[str]) -> list[Model]:
        """Load what is probably wanted first; until one is loaded, the type of the predictions may be unknown."""
        left, ready, errors = list(uris), list[Model](), list[StreamscoreError]()
        while left and not ready:
            self._load([left.pop(0)], ready, errors)
        self._load(left, ready, errors)
        if not ready:
            msg = f"no route has a model that can score feed {self.loader.feed.name}, the first: {errors[0]}"
            raise type(errors[0])(msg) from errors[0]
        return ready

    def _load(self, uris: list[str], ready: list[Model], errors: list[StreamscoreError]) -> None:
        """Load some beside each other; what is away now is tried again when it is wanted."""
        asked: dict[Future[Lease[Model]], str] = {}
        for uri in uris:
            choice = self.choose(self.snapshot, uri)
            if isinstance(choice, NoModel):
                errors.append(ContractError(choice.why))
            else:
                asked[self.cache.ask(choice)] = uri
        for future in as_completed(asked):
            try:
                with future.result() as model:
                    ready.append(model)
                    self.loader.output = model.output
            except StreamscoreError as error:
                errors.append(error)
                with suppress(RegistryError, NoRoomError):
                    self.refuse(self.snapshot, asked[future], error)

    def _follow(self) -> None:
        routes, models = self._settings.routing.poll_seconds, self._settings.registry.poll_seconds
        due = time.monotonic() + models
        while not self._stop.wait(min(routes, models)):
            try:
                self._look_at_routes()
                if time.monotonic() >= due:
                    began = time.monotonic()
                    self._look_at_models()
                    due = time.monotonic() + max(models, 4 * (time.monotonic() - began))
                    self._registry_answers(True)
            except RegistryError as error:
                self._registry_answers(False, str(error))
            except Exception:  # the stream goes on with what it has
                log.exception("model poll failed")

    def _look_at_routes(self) -> None:
        self._routes.look()
        table = self._routes.table
        if table is self.snapshot.table:
            return
        routes, known = self._records.keep(table), set(table.models())
        choices = {uri: one for uri, one in self.snapshot.choices.copy().items() if uri in known}
        self.snapshot = Snapshot(self.snapshot.number + 1, table, routes, choices)

    def _look_at_models(self) -> None:
        """Ask for each URI where they are few, else search all models once, and ask for those that have changed."""
        known = self.snapshot.choices.copy()  # others add to it
        moving = {u: one for u, one in known.items() if may_move(u) or isinstance(one, NoModel)}
        heads = self._registry.heads() if len(moving) > FEW else {}
        changed: dict[str, Choice] = {}
        for uri, one in moving.items():
            if heads and version_in(heads, uri) == (one.model.version if isinstance(one, VersionKey) else None):
                continue
            try:
                newest = self.resolve(uri)
            except RegistryError as error:
                if not is_missing(error):
                    raise
                continue
            if newest != one and time.monotonic() >= self._not_before.get((uri, newest), 0.0):
                changed[uri] = newest
        taken = {uri: key for uri, key in changed.items() if self._is_ready(uri, key)}
        if taken:
            self._take_up(taken)

    def _is_ready(self, uri: str, key: Choice) -> bool:
        """Load a version beside the one in memory; where none is, it is loaded when it is wanted."""
        old = self.snapshot.choices.get(uri)
        assert isinstance(key, VersionKey)
        if not isinstance(old, VersionKey) or old not in self.cache:
            return True
        try:
            self.cache.lease(key).release()
        except StreamscoreError as error:
            self._note_refusal(uri, key, error)
            return False
        return True

    def _take_up(self, taken: dict[str, Choice]) -> None:
        old = self.snapshot
        self.snapshot = Snapshot(old.number + 1, old.table, old.routes, old.choices | taken)
        for uri, key in taken.items():
            before = old.choices.get(uri)
            if isinstance(key, VersionKey):
                self._tell("swapped", key.model.name, key.model.version, f"for {uri}, from the next micro-batch on")
            if isinstance(before, VersionKey) and before not in self.snapshot.choices.values():
                self.cache.drop(before)

    def _note_refusal(self, uri: str, key: VersionKey, error: Exception) -> None:
        """Tell of it once a version; one whose files could not be read is tried again, now and then."""
        for_good, told = isinstance(error, ContractError), self._not_before.get((uri, key))
        wait = RETRY_POLLS * self._settings.registry.poll_seconds
        self._not_before[uri, key] = math.inf if for_good else time.monotonic() + wait
        if told is None or (for_good and told != math.inf):
            self._tell("refused", key.model.name, key.model.version, str(error))

    def _registry_answers(self, up: bool, detail: str = "") -> None:
        if up != self._registry_up and not self._stop.is_set():
            self._registry_up = up
            said = detail or "the registry can be asked again"
            self._tell("registry_up" if up else "registry_down", "", "", said)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
