"""The routes and the versions at one moment, and the model of a row by them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from streamscore.models.abreast import as_they_load
from streamscore.models.lease import Lease
from streamscore.models.row_model import Model
from streamscore.registry.version_key import VersionKey
from streamscore.routing.routes import RouteTable, uri_of
from streamscore.scoring.routed import NoModel, Target

Choice = VersionKey | NoModel


@dataclass(eq=False, slots=True)
class Snapshot:
    """What a micro-batch is scored by: nothing of it changes once rows were scored by it.

    Attributes:
        number: another one for another state.
        routes: what the records call the table.
        choices: a URI → the version that scores, or why none does; it grows as URIs are first wanted.
    """

    number: int
    table: RouteTable
    routes: str
    choices: dict[str, Choice] = field(default_factory=dict)

    def shadow(self, key: str) -> str:
        """The URI of the candidate that is asked beside the model of a key; empty: none is."""
        route = self.table.find(key)
        shadow = route.shadow if route else None
        return uri_of(shadow.model) if shadow and shadow.has(key) else ""


class Models(Protocol):
    """What gives a snapshot its models.

    Attributes:
        text_columns: as in `Router`, of all snapshots.
    """

    text_columns: frozenset[str]

    def choose(self, snapshot: Snapshot, uri: str, is_trial: bool) -> Choice:
        """The version that a URI stands for in a snapshot.

        Args:
            is_trial: there is another one for these keys, so that nothing is waited for.

        Raises:
            RegistryError: the registry does not say, and no version scored before.
        """

    def ask(self, key: VersionKey) -> "Future[Lease[Model]]":
        """The model of a version, loaded if it is not in memory."""

    def refuse(self, snapshot: Snapshot, uri: str, error: Exception, is_trial: bool) -> None:
        """Choose again, as the version that was chosen cannot be loaded.

        Raises:
            StreamscoreError: it cannot be had now, and there is none in its place.
        """


class SnapshotRouter:
    """The models of rows by a snapshot; of one micro-batch.

    Attributes:
        used: the versions that were given out, by URI.
    """

    def __init__(self, models: Models, snapshot: Snapshot) -> None:
        self._models, self.snapshot = models, snapshot
        self.used: dict[str, VersionKey] = {}
        self._asked: dict[Target, tuple[str, VersionKey]] = {}

    @property
    def text_columns(self) -> frozenset[str]:
        return self._models.text_columns

    @text_columns.setter
    def text_columns(self, columns: frozenset[str]) -> None:
        self._models.text_columns = columns

    def find(self, key: str | None) -> Target | NoModel:
        """The models that a key may be scored by."""
        if key is None:
            return NoModel("wanted a key")
        table = self.snapshot.table
        route = table.find(key)
        if route is None:
            return NoModel(f"which has no route, and there is no default, in the routes of version {table.version}")
        return route.uris(key) or NoModel(f"which may use no model by the routes of version {table.version}")

    def ready(self, targets: Iterable[Target]) -> Iterator[tuple[Target, Model | NoModel]]:
        """As `Router.ready`."""
        for target, found in as_they_load(targets, self._ask, self._failed):
            if isinstance(found, Model):
                uri, key = self._asked[target]
                self.used[uri] = key
            yield target, found

    def _ask(self, target: Target) -> "Future[Lease[Model]] | NoModel":
        """Of the first of its URIs that has a version."""
        why = ""
        for uri in target:
            choice = self._models.choose(self.snapshot, uri, is_trial=uri != target[-1])
            if isinstance(choice, VersionKey):
                self._asked[target] = uri, choice
                return self._models.ask(choice)
            why = choice.why
        return NoModel(f"whose route is {target[-1]}: {why}")

    def _failed(self, target: Target, error: Exception) -> None:
        uri, _ = self._asked[target]
        self._models.refuse(self.snapshot, uri, error, is_trial=uri != target[-1])
