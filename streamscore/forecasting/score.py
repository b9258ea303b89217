"""Files of a series feed in, forecasts and rejects out: `score()` for series."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from schemas.feed import Feed
from streamscore.forecasting.forecast import Forecast, forecast
from streamscore.forecasting.history import History
from streamscore.landing.manifest import LandedFile
from streamscore.models.series_model import SeriesModel
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.reading.validate import validate
from streamscore.scoring.score import Scored


def score_series(
    files: Sequence[LandedFile],
    feed: Feed,
    model: SeriesModel,
    history: History,
    options: ReadOptions,
) -> Iterator[Forecast]:
    """CSV files in, the forecasts after each of their observations and their rejects out, in bounded chunks.

    Pure: it writes nothing, and what was observed before comes in and goes out with each chunk. Every data row of every
    file is in exactly one of the two tables, as one row of step 0 or as the steps of its forecasts.

    Args:
        history: what was observed before the first file.
        options: `chunk_rows` bounds the rows of forecasts or windows in one call of the model; rows are read in order.

    Raises:
        FileRejectedError: as of `score`.
    """
    # a row becomes a window, and then `steps` rows: so many fewer at once, for the same memory
    chunk_rows = max(1, options.chunk_rows // max(model.window_rows, feed.series.steps))
    for rows, rejects in read_chunks(files, feed, replace(options, chunk_rows=chunk_rows, in_order=True)):
        rows, invalid = validate(rows, feed)
        done = forecast(rows, feed, model, history)
        history = done.history
        refusals = pa.concat_tables([rejects, invalid, done.scored.rejects])
        yield replace(done, scored=Scored(done.scored.predictions, refusals, rows.truncated))
