"""Prometheus metrics of the service. Several workers share files, by which the library sums what they count."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from jobs.serving.request_log.account import Balance
from jobs.serving.request_log.log import RequestLog
from jobs.serving.request_log.record import Record
from jobs.serving.requests.patience import Gate
from jobs.serving.watching.labels import ModelLabels
from streamscore.models.cache import ModelCache

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set by `run` before there are several workers
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LABELS = ["model", "version"]


class _OfModel(NamedTuple):
    """The series of one version; to look them up takes longer than to count."""

    seconds: Histogram
    predict: Histogram
    rows: Counter


class ServiceMetrics:
    """The metrics of one worker; units are in the names."""

    def __init__(
        self, cache: ModelCache[Any, Any], gate: Gate, requests: RequestLog | None, shadows: Mapping[str, int]
    ) -> None:
        self.registry = CollectorRegistry()
        self._cache, self._gate, self._log, self._labels = cache, gate, requests, ModelLabels()
        self._shadows = shadows
        self._of_status: dict[Any, Counter] = {}
        self._of_model: dict[tuple[str, str], _OfModel] = {}
        self._began = Balance() if requests is None else requests.began
        self._told: dict[str, float] = {}
        self._of_requests()
        self._of_cache()
        self._of_log()

    def _of_requests(self) -> None:
        more: Any = {"registry": self.registry}
        times: Any = more | {"labelnames": _LABELS, "buckets": SECONDS}
        self._requests = Counter("streamscore_requests", "Requests to models.", [*_LABELS, "status"], **more)
        self._seconds = Histogram("streamscore_request_seconds", "From a request to its answer.", **times)
        self._predict = Histogram("streamscore_predict_seconds", "Waiting for the model, and its call.", **times)
        self._rows = Counter("streamscore_request_rows", "Rows that were predicted.", _LABELS, **more)
        self._errors = Counter("streamscore_request_errors", "Rows that were refused.", [*_LABELS, "reason"], **more)
        live: Any = more | {"multiprocess_mode": "livesum"}
        self._at_work = Gauge("streamscore_requests_at_work", "Requests that wait for a model or its answer.", **live)

    def _of_cache(self) -> None:
        more: Any = {"registry": self.registry}
        live: Any = more | {"multiprocess_mode": "livesum"}
        self._models = Gauge("streamscore_models_in_memory", "Loaded versions.", **live)
        self._bytes = Gauge("streamscore_model_bytes", "Memory of the loaded versions.", **live)
        recent: Any = more | {"multiprocess_mode": "mostrecent"}
        self._age = Gauge(
            "streamscore_model_eviction_age_seconds", "From its last use until the last eviction.", **recent
        )
        self._counts = {
            name: Counter(f"streamscore_model_{name}", help_text, **more)
            for name, help_text in (
                ("cache_hits", "Requests whose version was in memory."),
                ("cache_misses", "Requests that a load was needed for."),
                ("loads", "Loads of versions."),
                ("load_failures", "Loads that failed."),
                ("load_seconds", "Time of all loads."),
                ("evictions", "Versions that were freed."),
            )
        }

    def _of_log(self) -> None:
        more: Any = {"registry": self.registry}
        live: Any = more | {"multiprocess_mode": "livesum"}
        outcomes = "What became of requests: logged, sampled_out or lost."
        self._answered = Counter("streamscore_request_log_answered", "Requests that the log heard of.", **more)
        self._logged = Counter("streamscore_request_log_requests", outcomes, ["outcome"], **more)
        shadows = "Requests of which shadows were asked, failed, or were passed_over as too many waited."
        self._shadowed = Counter("streamscore_shadow_requests", shadows, ["outcome"], **more)
        self._unlogged = Gauge("streamscore_request_log_waiting", "Requests in memory or in the spool.", **live)

    def answered(self, record: Record) -> None:
        """Count a request that is done."""
        labels = self._labels.of(record)
        if (requests := self._of_status.get((labels, record.status))) is None:
            requests = self._requests.labels(*labels, str(record.status))
            self._of_status[labels, record.status] = requests
        if (of := self._of_model.get(labels)) is None:
            of = _OfModel(self._seconds.labels(*labels), self._predict.labels(*labels), self._rows.labels(*labels))
            self._of_model[labels] = of
        requests.inc()
        of.seconds.observe(record.seconds)
        if record.predict_seconds:
            of.predict.observe(record.predict_seconds)
        if rows := record.answered_rows:
            of.rows.inc(rows)
        for error in record.errors:
            self._errors.labels(*labels, error.reason).inc()

    def text(self, asking: int = 0) -> bytes:
        """All metrics as Prometheus reads them; of several workers, their sums.

        Args:
            asking: requests for this text that are at work, and are not told.
        """
        self.take()
        self._at_work.set(self._gate.at_work - asking)
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        _forget_dead(Path(os.environ[SHARED]))
        every = CollectorRegistry()
        multiprocess.MultiProcessCollector(every)  # type: ignore[no-untyped-call]
        return generate_latest(every)

    def take(self) -> None:
        """Take over what other parts of the service count."""
        counts = self._cache.counts
        found = {
            "cache_hits": counts.hits, "cache_misses": counts.misses, "loads": counts.loads,
            "load_failures": counts.failures, "load_seconds": counts.load_seconds, "evictions": counts.evictions,
        }  # fmt: skip
        for name, value in found.items():
            self._counts[name].inc(self._more(name, value))
        self._age.set(counts.last_age)
        self._at_work.set(self._gate.at_work)
        self._models.set(len(self._cache.loaded()))
        self._bytes.set(self._cache.size)
        for outcome in ("asked", "failed", "passed_over"):
            self._shadowed.labels(outcome).inc(self._more(outcome, self._shadows.get(outcome, 0)))
        if self._log is None:
            return
        now, began = self._log.balance, self._began
        self._answered.inc(self._more("answered", now.answered - began.answered))
        for outcome in ("logged", "sampled_out", "lost"):
            self._logged.labels(outcome).inc(self._more(outcome, getattr(now, outcome) - getattr(began, outcome)))
        self._unlogged.set(now.waiting)

    def _more(self, name: str, value: float) -> float:
        told, self._told[name] = self._told.get(name, 0.0), value
        return max(0.0, value - told)


def _forget_dead(shared: Path) -> None:
    """Gauges of workers that are gone count no more."""
    for path in shared.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            with contextlib.suppress(ValueError):
                multiprocess.mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
