"""The files of a series feed's micro-batches into parts, one batch after the other; the history between them."""

from collections.abc import Iterator, Sequence

import structlog

from streamscore.forecasting.history import History, read_history
from streamscore.forecasting.score import score_series
from streamscore.landing.manifest import LandedFile
from streamscore.models.series_model import SeriesModel
from streamscore.reading.read import ReadOptions
from streamscore.scoring.score import Scored
from streamscore.scoring.to_parts import write_parts
from streamscore.tables.batch import ScoringTask
from streamscore.tables.commit import Commit
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables

log = structlog.get_logger()


class SeriesScorer:
    """Forecasts the micro-batches of one stream, in the driver.

    The history is of one version of the forecasts table. It is carried on to the version that a batch was committed as
    only if that is the next one but for compactions, and read from the table again wherever it is not of the newest: at
    the start, after a batch that was skipped, after a commit of anybody else's that changed rows. A batch that failed
    changes nothing.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._history, self._version = History(0, {}), -1
        self._after = self._history

    def score_to_parts(self, files: Sequence[LandedFile], work: ScoringTask, model: SeriesModel) -> Parts:
        """Forecast after the observations of files, and write what comes out; in the tables once it is committed.

        Raises:
            StorageError: a file or the table could not be read, or a part not be written, this time.
        """
        table = self._tables.predictions
        version = table.version
        if self._history.window_rows == model.window_rows and table.only_rearranged(self._version, version + 1):
            self._version = version
        else:  # the version was noted before: a commit in between makes it be read again
            self._history, self._version = read_history(table, work.feed, model.window_rows), version
        return write_parts(files, work, lambda options: self._chunks(files, work, model, options))

    def committed(self, done: Commit) -> None:
        """The batch that was scored last is in."""
        if not done.skipped and self._tables.predictions.only_rearranged(self._version, done.version):
            self._history, self._version = self._after, done.version

    def _chunks(
        self, files: Sequence[LandedFile], work: ScoringTask, model: SeriesModel, options: ReadOptions
    ) -> Iterator[Scored]:
        self._after, failed = self._history, list[str]()
        for done in score_series(files, work.feed, model, self._history, options):
            self._after = done.history
            failed += done.scored.predictions["failure"].drop_null().to_pylist()
            yield done.scored
        if failed:
            log.warning("forecasts failed", feed=work.feed.name, observations=len(failed), first=failed[0])
