"""What a run shows of itself: the entries of a log line, Prometheus metrics, a progress bar for catch-up."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.errors import SettingsError
from schemas.feed import Feed
from schemas.settings import Metrics
from streamscore.registry.model_version import ModelVersion

MOST_VERSIONS = 100  # of a micro-batch, with series of their own

SECONDS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A micro-batch that is committed.

    Attributes:
        rows, rejects: predictions and quarantined rows.
        reasons: rejects by reason.
        seconds: from its start to its commit.
        lag: from the moment its first file was found to its commit, seconds.
        versions: of the models that scored it: one, or of a routed feed any number.
        where: `driver` or `executors`; `skipped` if it was in already.
        truncated: how many times lost digits of a second (`csv.fractions`); in the log only if some did.
    """

    batch_id: int
    files: int
    rows: int
    rejects: int
    reasons: Mapping[str, int]
    versions: Sequence[ModelVersion]
    seconds: float
    lag: float
    where: str
    truncated: int = 0

    def to_log(self) -> dict[str, object]:
        """The entries of its log line."""
        entries = asdict(self) | {"seconds": round(self.seconds, 4), "lag": round(self.lag, 4)}
        entries["truncated"] = self.truncated or ""
        del entries["versions"]
        if len(self.versions) == 1:
            entries |= {"model_name": self.versions[0].name, "model_version": self.versions[0].version}
        elif self.versions:
            entries["models"] = len(self.versions)
        return {key: value for key, value in entries.items() if value not in ({}, "")}


class RunMetrics:
    """The metrics of one run; units are in the names."""

    def __init__(self, feed: Feed) -> None:
        self.registry = CollectorRegistry()
        more: Any = {"registry": self.registry}
        of: Any = more | {"labelnames": ["feed"]}
        self._feed = feed.name
        self._rows = Counter("streamscore_rows_total", "Rows predicted.", **of)
        self._rejects = Counter("streamscore_rejects_total", "Rows quarantined.", ["feed", "reason"], **more)
        self._truncated = Counter("streamscore_truncated_total", "Times that lost digits of a second.", **of)
        self._files = Counter("streamscore_files_total", "Files processed.", **of)
        self._batch = Histogram("streamscore_batch_seconds", "A micro-batch, start to commit.", buckets=SECONDS, **of)
        self._lag = Histogram(
            "streamscore_file_to_commit_seconds", "From finding a file to its commit.", buckets=SECONDS, **of
        )
        self._model = Gauge(
            "streamscore_model_info", "1 for the version that scores.", ["feed", "model", "version"], **more
        )
        self._swaps = Counter("streamscore_model_swaps_total", "Versions that took over.", **of)
        self._refusals = Counter("streamscore_model_refusals_total", "Versions refused.", **of)
        self._shadowed = Counter("streamscore_shadow_rows_total", "Rows of shadows.", ["feed", "outcome"], **more)
        self._registry_up = Gauge("streamscore_registry_up", "1 if the registry answers, 0 if not.", **of)
        self._registry_up.labels(self._feed).set(1)  # a run starts only if it does, or says that it does not
        for counter in (self._rows, self._files, self._truncated, self._swaps, self._refusals):
            counter.labels(self._feed)

    def serve(self, metrics: Metrics) -> None:
        """Answer Prometheus on the port of the settings.

        Raises:
            SettingsError: the port is taken.
        """
        if metrics.port:
            try:
                start_http_server(metrics.port, metrics.host, self.registry)
            except OSError as error:
                msg = (
                    f"--metrics-port {metrics.port}: {error.strerror}; "
                    f"wanted a free port on {metrics.host}; choose another"
                )
                raise SettingsError(msg) from error

    def event(self, kind: str) -> None:
        """Count a swap or a refusal; note whether the registry answers."""
        if kind == "swapped":
            self._swaps.labels(self._feed).inc()
        elif kind == "refused":
            self._refusals.labels(self._feed).inc()
        elif kind in ("registry_up", "registry_down"):
            self._registry_up.labels(self._feed).set(kind == "registry_up")

    def shadowed(self, outcome: str, rows: int) -> None:
        """Count rows that shadows were asked for, or were not."""
        self._shadowed.labels(self._feed, outcome).inc(rows)

    def batch(self, done: BatchDone) -> None:
        """Count a micro-batch."""
        self._rows.labels(self._feed).inc(done.rows)
        self._files.labels(self._feed).inc(done.files)
        self._truncated.labels(self._feed).inc(done.truncated)
        if done.versions:
            self._model.clear()
            for version in done.versions[:MOST_VERSIONS]:
                self._model.labels(self._feed, version.name, version.version).set(1)
        for reason, count in done.reasons.items():
            self._rejects.labels(self._feed, reason).inc(count)
        self._batch.labels(self._feed).observe(done.seconds)
        self._lag.labels(self._feed).observe(done.lag)


class Display:
    """A progress bar over a number of files, none without: files, rows, rows/s, rejects."""

    def __init__(self, files: int | None) -> None:
        self._rows = self._rejects = 0
        self._begun = time.monotonic()
        self._bar: Progress | None = None
        if files is not None:
            numbers = MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
            self._bar = Progress("[bold]files", BarColumn(), *numbers, console=Console(stderr=True))
            self._task = self._bar.add_task("starting", total=files)
            self._bar.start()

    def batch(self, done: BatchDone) -> None:
        """Move on by a micro-batch."""
        if self._bar is None:
            return
        if self._rows == self._rejects == 0:
            self._begun = time.monotonic() - done.seconds
        self._rows += done.rows
        self._rejects += done.rejects
        speed = (self._rows + self._rejects) / max(time.monotonic() - self._begun, 1e-3)
        text = f"{self._rows:,} rows, {speed:,.0f} rows/s, {self._rejects:,} rejects"
        self._bar.update(self._task, advance=done.files, description=text)

    def close(self) -> None:
        """Leave the last state standing."""
        if self._bar:
            self._bar.stop()
