"""Writing to a registry: a version is registered, tagged, promoted, and taken back."""

import getpass
import shlex
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import GateError
from schemas.feed import Feed
from schemas.signature import assert_contract, output_type
from streamscore.registry.allow_list import assert_folder_loadable, parse_mlmodel
from streamscore.registry.connection import Connection
from streamscore.registry.manifest import ModelManifest, take_manifest
from streamscore.registry.model_uri import ModelRef, all_versions
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.promotions import Promotion, version_before
from streamscore.registry.reader import ALIAS, STAGE, RegistryReader
from streamscore.registry.repeat import created, delete_others, repeated
from streamscore.registry.requirements import signature

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTED_BY = "streamscore.promoted_by"
PROMOTED_AT = "streamscore.promoted_at"
CANDIDATE = "candidate"  # the alias of the newest version that passed gate and check
SETTLE_ATTEMPTS = 10  # of making the stage follow the alias, while others promote


class RegistryWriter:
    """What changes a registry."""

    def __init__(self, connection: Connection, reader: RegistryReader) -> None:
        self._connection, self._reader = connection, reader

    def promote(
        self,
        name: str,
        version: str,
        feed: Feed,
        by: str = "",
        rollback: bool = False,
        trial: Callable[[Path, ModelVersion], object] = lambda *_: None,
    ) -> Promotion:
        """Put a version into Production, for those who follow the stage and for those who follow the alias.

        1. Its files must be those of its manifest, if it has one, and such as the settings allow; they are not loaded.
        2. Its signature must fit the feed.  3. The trial of its files.  4. A manifest, if it has none; who and when.
        5. The stage, archiving others.  6. The alias, which decides; the stage of what it names by then.
        7. The history.
        A crash between any two is repaired by promoting again. Of two promotions at once, the last alias stands.

        Args:
            rollback: what the history calls it.
            trial: gets the folder of its files, and raises if it may not be promoted.

        Raises:
            ContractError: model and feed do not fit, or its files may not be loaded; nothing was changed.
            RegistryError: no such version, or no answer.
        """
        ref = self._reader.resolve(f"models:/{name}/{version}", feed.name)
        by, at = by or getpass.getuser(), datetime.now(UTC)
        previous = self._reader.in_production(name)
        with tempfile.TemporaryDirectory() as temporary:
            # 1
            files = self._reader.fetch(ref, Path(temporary))
            manifest, recorded = take_manifest(files), ModelManifest.from_tags(ref.tags, ref.title)
            if recorded:
                recorded.assert_same(manifest, ref.title)
            assert_folder_loadable(files, ref.title, self._connection.models)
            asked, metadata = signature(files), parse_mlmodel((files / "MLmodel").read_bytes(), name).get("metadata")
            # 2
            assert_contract(feed, asked, ref.title, metadata)
            if feed.kind == "rows":
                output_type(asked, ref.title)
            # 3
            trial(files, ref.model)
        # 4
        who = {PROMOTED_BY: by, PROMOTED_AT: at.isoformat(timespec="seconds")}
        self.tag_version(name, version, ({} if recorded else manifest.to_tags()) | who)
        done = Promotion(name, version, previous, by, at, rollback)
        with self._connection.reaching() as client:
            # 5
            _set_stage(client, name, version)
            # 6
            _set_alias(client, name, version)
            _settle(client, name)
            # 7
            repeated(partial(client.set_registered_model_tag, name, *done.to_tag()))
        return done

    def rollback(
        self, name: str, feed: Feed, by: str = "", trial: Callable[[Path, ModelVersion], object] = lambda *_: None
    ) -> Promotion:
        """Put that version into Production which was there before the current one; once more leads further back.

        Raises:
            GateError: there was none.
            ContractError, RegistryError: as `promote`.
        """
        current = self._reader.in_production(name)
        there = {version.version for version in self._reader.versions(name)}
        before = version_before(self._reader.history(name), current, there) if current else None
        if before is None:
            now = f"v{current} is the first of its Production versions" if current else "none of its versions ever was"
            msg = (
                f"model {name} cannot be rolled back: {now} that the registry still has; "
                f"next: streamscore models {shlex.quote(name)}, then: streamscore promote {shlex.quote(name)} VERSION"
            )
            raise GateError(msg)
        return self.promote(name, before, feed, by, rollback=True, trial=trial)

    def tag_version(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Set tags of a version, in their order."""
        with self._connection.reaching() as client:
            for tag, value in tags.items():
                repeated(partial(client.set_model_version_tag, name, version, tag, value))

    def make_candidate(self, name: str, version: str) -> None:
        """Give a version the alias `candidate`."""
        with self._connection.reaching() as client:
            repeated(partial(client.set_registered_model_alias, name, CANDIDATE, version))

    def add_version(self, name: str, model_id: str, run_id: str, tags: dict[str, str]) -> str:
        """Register a logged model as the next version of `name`, which is made if need be; returns its number.

        The manifest of its files is part of the same request: no version is there without it. Of a request that was
        carried out twice, the first version stays.
        """
        source = f"models:/{model_id}"
        with tempfile.TemporaryDirectory() as temporary:
            logged = ModelRef(source, ModelVersion(name, model_id, run_id), source)
            tags = tags | take_manifest(self._reader.fetch(logged, Path(temporary))).to_tags()
        with self._connection.reaching() as client:
            repeated(partial(make_model, client, name))
            before = set(_versions_of_run(client, name, run_id))

            def create() -> str:
                return str(client.create_model_version(name, source, run_id, tags=tags, model_id=model_id).version)

            def there() -> list[str]:
                return [version for version in _versions_of_run(client, name, run_id) if version not in before]

            made = created(create, there)
            first = min([made, *repeated(there)], key=int)
            delete_others(first, there, partial(client.delete_model_version, name))
            return first

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be with its artifacts beside the registry."""
        with self._connection.reaching() as client:
            location = f"{self._connection.artifacts}/{name}" if self._connection.artifacts else None
            return repeated(partial(make_experiment, client, name, location))


def make_experiment(client: "MlflowClient", name: str, location: str | None) -> str:
    """The id of the experiment of that name, made if need be."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, location))
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS" and (found := client.get_experiment_by_name(name)):
            return str(found.experiment_id)  # somebody else was faster, or this request without its answer
        raise


def make_model(client: "MlflowClient", name: str) -> None:
    """Make a registered model, unless there is one."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _versions_of_run(client: "MlflowClient", name: str, run_id: str) -> list[str]:
    """The numbers of a model's versions that a run made, oldest first."""
    return sorted((str(v.version) for v in all_versions(client, name) if v.run_id == run_id), key=int)


def _set_stage(client: "MlflowClient", name: str, version: str) -> None:
    with warnings.catch_warnings():  # stages are deprecated, and used on purpose beside the alias
        warnings.simplefilter("ignore", FutureWarning)
        transition = partial(client.transition_model_version_stage, archive_existing_versions=True)
        repeated(partial(transition, name, version, STAGE))


def _set_alias(client: "MlflowClient", name: str, version: str) -> None:
    """Again if it fails: of two first promotions at once MLflow inserts the alias for both, and one fails."""
    repeated(partial(client.set_registered_model_alias, name, ALIAS, version))


def _settle(client: "MlflowClient", name: str) -> None:
    """Make the stage follow the alias, which somebody else may have set since."""
    for _ in range(SETTLE_ATTEMPTS):
        decided = str(client.get_model_version_by_alias(name, ALIAS).version)
        if [str(v.version) for v in all_versions(client, name) if v.current_stage == STAGE] == [decided]:
            return
        _set_stage(client, name, decided)
