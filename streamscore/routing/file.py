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
        self._looked: tuple[int, int, int] | None = None  # how it was when it was last looked at
        self._seen: tuple[int, int, int] | None = None  # and when it was read

    def exists(self) -> bool:
        return self._path.is_file()

    def read(self, known: RouteTable | None) -> RouteTable:
        """The table as it is now: `known` itself if nothing has changed since it was read.

        Half a table may be one, too: of a file that changes, only what is the same in two looks is read.

        Raises:
            SettingsError: the file cannot be read, or is wrong; names the key, what was found and wanted.
        """
        before, self._looked = self._looked, self._look()
        if known is not None:
            is_old = time.time() - self._looked[1] / 1e9 > SETTLED_SECONDS
            if self._looked != before or (self._looked == self._seen and is_old):
                return known
        said = read_yaml(self._path)
        if said is None:
            msg = f"{self.place} is empty, wanted keys, patterns or default; a table without routes is {{}}"
            raise SettingsError(msg)
        table = table_of(said, self.place)
        self._seen = self._looked
        return known if known is not None and known.version == table.version else table

    def _look(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            msg = f"routes {self.place} cannot be read: {error.strerror}; write the file, or see routing.routes"
            raise SettingsError(msg) from error
        return found.st_ino, found.st_mtime_ns, found.st_size
