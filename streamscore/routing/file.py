"""The table of routes in a YAML file."""

from pathlib import Path

from schemas.errors import SettingsError
from schemas.yaml_text import read_yaml
from streamscore.routing.routes import RouteTable, table_of
from streamscore.storage.changed_file import ChangedFile


class RoutesFile:
    """A file such as `conf/routes.yaml`; its table's version is a digest of what it says."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._file = ChangedFile(path)

    def exists(self) -> bool:
        return self._file.path.is_file()

    def read(self, known: RouteTable | None) -> RouteTable:
        """The table as it is now: `known` itself if nothing has changed since it was read.

        Raises:
            SettingsError: the file cannot be read, or is wrong; names the key, what was found and wanted.
        """
        if not self._look() and known is not None:
            return known
        said = read_yaml(self._file.path)
        if said is None:
            msg = f"{self.place} is empty, wanted keys, patterns or default; a table without routes is {{}}"
            raise SettingsError(msg)
        table = table_of(said, self.place)
        self._file.seen()
        return known if known is not None and known.version == table.version else table

    def _look(self) -> bool:
        try:
            return self._file.look()
        except OSError as error:
            msg = f"routes {self.place} cannot be read: {error.strerror}; write the file, or see routing.routes"
            raise SettingsError(msg) from error
