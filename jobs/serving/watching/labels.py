"""Which models have series of their own: those that were loaded, up to a number; names that are made up have none."""

from jobs.serving.request_log.record import Record

MOST = 500  # versions with series of their own; a series is about 3 KB in the memory of Prometheus
OTHER = ("other", "")


class ModelLabels:
    """The labels `model` and `version` of requests."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._known = most, set[tuple[str, str]]()

    def of(self, record: Record) -> tuple[str, str]:
        """Name and version; `other` for requests that came to no model, and for versions beyond the number."""
        if record.scored is None:
            return OTHER
        version = record.scored.version
        found = version.name, version.version
        if found not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(found)
        return found
