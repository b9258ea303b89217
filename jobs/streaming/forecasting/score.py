"""Files of a series feed in, forecasts and rejects out: `score()` for series."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from jobs.streaming.forecasting.forecast import Forecast, forecast
from jobs.streaming.forecasting.history import History
from jobs.streaming.forecasting.model import SeriesModel
from jobs.streaming.landing.manifest import LandedFile
from jobs.streaming.reading.landed import Open, open_local
from jobs.streaming.reading.read import Refusal, read_chunks
from jobs.streaming.reading.validate import validate
from jobs.streaming.scoring.score import Scored
from schemas.feed import Feed


def score_series(
    files: Sequence[LandedFile],
    feed: Feed,
    model: SeriesModel,
    landing: str,
    history: History,
    *,
    chunk_rows: int,
    refused: Mapping[str, Refusal] | None = None,
    open_landed: Open = open_local,
) -> Iterator[Forecast]:
    """CSV files in, the forecasts after each of their observations and their rejects out, in bounded chunks.

    Pure: it writes nothing, and what was observed before comes in and goes out with each chunk. Every data row of every
    file is in exactly one of the two tables, as one row of step 0 or as the steps of its forecasts.

    Args:
        history: what was observed before the first file.
        chunk_rows: rows of forecasts or windows in one call of the model.
        landing, refused, open_landed: as of `score`.

    Raises:
        FileRefusedError: as of `score`.
    """
    chunks = read_chunks(
        files,
        feed,
        landing,
        # a row becomes a window, and then `steps` rows: so many fewer at once, for the same memory
        chunk_rows=max(1, chunk_rows // max(model.window_rows, feed.series.steps)),
        refused=refused or {},
        open_landed=open_landed,
        in_order=True,
    )
    for rows, rejects in chunks:
        rows, invalid = validate(rows, feed)
        done = forecast(rows, feed, model, history)
        history = done.history
        refusals = pa.concat_tables([rejects, invalid, done.scored.rejects])
        yield replace(done, scored=Scored(done.scored.predictions, refusals))
