"""A version on its way into memory: fetched, verified, held against the feed, tried."""

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from jobs.streaming.routed.records import ScoredVersion
from schemas.errors import ContractError
from schemas.feed import Feed
from streamscore.models.cache import Loaded, Reserve
from streamscore.models.load import assert_output, load_version
from streamscore.models.row_model import Model
from streamscore.models.watch import EventSink
from streamscore.registry.allow_list import assert_folder_loadable
from streamscore.registry.manifest import take_manifest
from streamscore.registry.registry import Registry
from streamscore.registry.requirements import requirements_differences
from streamscore.registry.version_key import VersionKey

TOUCH_SECONDS = 600.0  # maintenance keeps what was used in hours


class VersionLoader:
    """What fills the cache of a routed feed's stream; for many threads.

    Attributes:
        feed: that they score.
        output: the type of the predictions; None until it is known.
        scored: what is recorded of a version that was loaded, now or by an earlier start.
    """

    def __init__(self, feed: Feed, registry: Registry, folder: Path, tell: EventSink) -> None:
        self.feed, self._registry, self._folder, self._tell = feed, registry, folder, tell
        self._told: set[VersionKey] = set()
        self._touched: dict[VersionKey, float] = {}
        self.output: pa.DataType | None = None
        self.scored: dict[VersionKey, ScoredVersion] = {}

    def remember(self, versions: Mapping[str, ScoredVersion]) -> None:
        """What scored before an earlier start ended: its files are used again if they still are those."""
        self.scored |= {one.key: one for one in versions.values()}

    def __call__(self, key: VersionKey, reserve: Reserve) -> Loaded[Model]:
        """Load a version.

        Raises:
            ContractError: it may not be loaded, does not fit the feed, or predicts something else than the table holds.
            RegistryError: its files cannot be had now.
        """
        path = self._files(key)
        manifest = take_manifest(path)
        reserve(sum(size for _, size in manifest.files.values()))
        model = load_version(path, self.feed, key.model)
        assert isinstance(model, Model)  # the feed is of rows
        if self.output is not None:
            assert_output(model, self.output)
        self.scored[key] = ScoredVersion(key.model, key.manifest, str(path), manifest.digest)
        self._tell_of(key, path)
        return Loaded(model, model.memory())

    def used(self, key: VersionKey) -> ScoredVersion:
        """What is recorded of a version that scores; its files stay, which maintenance removes if not used for long."""
        known, now = self.scored[key], time.monotonic()
        if now > self._touched.get(key, -math.inf) + TOUCH_SECONDS:
            self._touched[key] = now
            with suppress(OSError):
                os.utime(known.path)
        return known

    def _files(self, key: VersionKey) -> Path:
        """The folder of a version's files: where they were when it scored before, else fetched from the registry.

        Raises:
            ContractError: the registry has other files than those that scored.
        """
        known = self.scored.get(key)
        if known and Path(known.path).is_dir() and take_manifest(Path(known.path)).digest == known.digest:
            assert_folder_loadable(Path(known.path), key.model.title, self._registry.models)
            return Path(known.path)
        ref = key.ref if key.ref.source else self._registry.resolve(key.model.uri, self.feed.name)
        path = self._registry.download(ref, self._folder)
        if known and take_manifest(path).digest != known.digest:
            msg = (
                f"model {key.model.title} has other files than when it scored before; "
                f"put back the files that were registered"
            )
            raise ContractError(msg)
        return path

    def _tell_of(self, key: VersionKey, path: Path) -> None:
        """What is worth knowing of a version that scores, once."""
        if key in self._told:
            return
        self._told.add(key)
        if not key.manifest:
            self._tell("unverified", key.model.name, key.model.version, "scores without a manifest of its files")
        for difference in requirements_differences(path):
            self._tell("requirements", key.model.name, key.model.version, difference)
