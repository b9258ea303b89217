"""What a run tells of itself, in one place: to the log, the metrics, the progress bar and the side tables."""

import time
from collections.abc import Sequence

import structlog

from jobs.streaming.progress import BatchDone, Display, RunMetrics
from jobs.streaming.score_batch import ScoredBatch
from streamscore.landing.manifest import BatchManifest
from streamscore.landing.troubles import Trouble, Troubles
from streamscore.tables.housekeeping import Housekeeping

log = structlog.get_logger()


class Reporter:
    """Tells of each micro-batch, in the thread that committed it, and of events, in any thread."""

    def __init__(
        self, feed: str, metrics: RunMetrics, display: Display, housekeeping: Housekeeping, troubles: Troubles
    ) -> None:
        self._feed, self._metrics, self._display, self._housekeeping = feed, metrics, display, housekeeping
        self._troubles = troubles

    def batch(self, done: BatchDone) -> None:
        """A micro-batch is in."""
        self._metrics.batch(done)
        self._display.batch(done)
        self._housekeeping.committed()
        log.info("batch", feed=self._feed, **done.to_log())

    def event(
        self, kind: str, name: str = "", version: str = "", detail: str = "", batch_id: int | None = None
    ) -> None:
        """Something happened to the model, the registry or the checkpoint."""
        self._housekeeping.event(kind, name, version, detail, batch_id)
        self._metrics.event(kind)
        say = log.info if kind in ("swapped", "registry_up") else log.warning
        say(kind, feed=self._feed, model_name=name, model_version=version, detail=detail)

    def take_troubles(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> None:
        """Report what the source found wrong in the landing folder; the rest of the folder goes on."""
        self._troubles.take(new, over)
        self.report_troubles()

    def report_troubles(self) -> None:
        """Report what is wrong in the landing folder and was not reported yet, and keep it for `status`."""
        self._troubles.tell(self._say)

    def _say(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:  # noqa: ARG002  what is over is no event
        for trouble in new:
            self._housekeeping.event(trouble.kind, detail=trouble.detail)
            log.warning(trouble.kind, feed=self._feed, name=trouble.name, detail=trouble.why)
        self._troubles.keep()
        return True


def batch_done(batch_id: int, manifest: BatchManifest, scored: ScoredBatch | None, begun: float) -> BatchDone:
    """What is reported of a micro-batch that is in.

    Args:
        scored: None if it was in before.
        begun: when its processing began, seconds since 1970.
    """
    now = time.time()
    found = min((f.found for f in manifest.files), default=0) / 1e9
    parts = scored.parts if scored else None
    return BatchDone(
        batch_id=batch_id,
        files=len(manifest.files),
        rows=sum(c.predictions for c in parts.counts.values()) if parts else 0,
        rejects=sum(parts.reasons.values()) if parts else 0,
        reasons=parts.reasons if parts else {},
        versions=scored.versions if scored else (),
        seconds=now - begun,
        lag=now - found if found else 0.0,
        where=scored.where if scored else "skipped",
        truncated=parts.truncated if parts else 0,
    )
