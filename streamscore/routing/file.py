"""The table of routes in a YAML file."""

import os
import time
from pathlib import Path

from schemas.errors import SettingsError
from schemas.yaml_text import read_yaml
from streamscore.routing.routes import RouteTable, table_of

SETTLED_SECONDS = 2.0  # after a change a file's time says that it is the same file; before, the clock was too coarse


class RoutesFile:
    """A file such as `conf/routes.yaml`; its table's version is a digest of what it says."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def exists(self) -> bool:
        return self._path.is_file()

    def read(self, known: RouteTable | None) -> RouteTable:
        """The table as it is now: `known` itself if nothing has changed since it was read.

        Raises:
            SettingsError: the file cannot be read, or is wrong; names the key, what was found and wanted.
        """
        seen = self._look()
        if known is not None and seen == self._seen and time.time() - seen[1] / 1e9 > SETTLED_SECONDS:
            return known
        table = table_of(read_yaml(self._path), self.place)
        self._seen = seen
        return known if known is not None and known.version == table.version else table

    def _look(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            msg = f"routes {self.place} cannot be read: {error.strerror}; write the file, or see routing.routes"
            raise SettingsError(msg) from error
        return found.st_ino, found.st_mtime_ns, found.st_size
