"""From which micro-batch on which routes and versions score: durable before a micro-batch is, so it repeats with them.

routed          a line for each micro-batch that brings another table of routes, or another version of a model
routes/…json    a table of routes, by its digest; the one in use and the one before it
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from streamscore.failpoints import fail_at
from streamscore.registry.model_uri import MANIFEST, ModelRef
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.version_key import VersionKey
from streamscore.routing.routes import RouteTable, table_of
from streamscore.storage.folder import Folder

JOURNAL = "routed"
TABLES = "routes"


@dataclass(frozen=True, slots=True)
class ScoredVersion:
    """A version that scored rows.

    Attributes:
        manifest: as in `VersionKey`.
        path: the folder of its files, on the machine that scored.
        digest: of their manifest.
    """

    model: ModelVersion
    manifest: str
    path: str
    digest: str

    @classmethod
    def from_list(cls, said: list[str]) -> Self:
        name, version, run_id, manifest, path, digest = said
        return cls(ModelVersion(name, version, run_id), manifest, path, digest)

    def to_list(self) -> list[str]:
        """As it stands in the journal."""
        model = self.model
        return [model.name, model.version, model.run_id, self.manifest, self.path, self.digest]

    @property
    def key(self) -> VersionKey:
        """The same for the cache; where its files are the registry is asked, if they are not here."""
        tags = {MANIFEST: self.manifest} if self.manifest else {}
        return VersionKey(self.model, self.manifest, ModelRef(self.model.uri, self.model, "", tags))

    def is_here(self) -> bool:
        """Whether there is a folder of its files."""
        return Path(self.path).is_dir()


class RoutedRecords:
    """What a checkpoint says of the routes and the versions of its newest micro-batch.

    Attributes:
        routes: what its table is called.
        versions: by the URI of the model.
    """

    def __init__(self, folder: Folder) -> None:
        self._journal, self._tables = folder.open_journal(JOURNAL), folder.at(TABLES)
        self.routes = self._kept = ""
        self.versions: dict[str, ScoredVersion] = {}
        for line in self._journal.lines():
            said = json.loads(line)
            self.routes = said["routes"]
            self.versions |= {uri: ScoredVersion.from_list(one) for uri, one in said["versions"].items()}

    @property
    def is_empty(self) -> bool:
        return not self.routes

    def table(self) -> RouteTable | None:
        """The table of the newest micro-batch; None if it is not there any more."""
        text = self._tables.read(f"{self.routes}.json")
        if text is None:
            return None
        said: dict[str, Any] = json.loads(text)
        return table_of(said["routes"], f"{self._tables.uri}/{self.routes}.json", said["version"])

    def keep(self, table: RouteTable) -> str:
        """Make a table durable, before a micro-batch is routed by it.

        Returns:
            What `note` calls it.
        """
        text = json.dumps({"version": table.version, "routes": table.to_json()})
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._tables.make()
        self._tables.write(f"{digest}.json", text.encode(), durable=True)
        self._kept = digest
        return digest

    def note(self, batch_id: int, routes: str, versions: Mapping[str, ScoredVersion]) -> None:
        """Make durable what scores a micro-batch, as far as it is not what scored the one before."""
        news = {uri: one for uri, one in versions.items() if self.versions.get(uri) != one}
        if routes == self.routes and not news:
            return
        fail_at("model_record:before", batch_id)
        body = {
            "from_batch": batch_id,
            "routes": routes,
            "versions": {uri: one.to_list() for uri, one in news.items()},
        }
        self._journal.append(json.dumps(body).encode())
        if routes != self.routes:  # no micro-batch repeats with an older one
            needed = {f"{routes}.json", f"{self._kept}.json"}
            self._tables.delete_all(name for name in self._tables.names() if name not in needed)
        self.routes, self.versions = routes, self.versions | news
        fail_at("model_record:after", batch_id)
