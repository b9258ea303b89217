"""Files of a series feed in, forecasts and rejects out: `score()` for series."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from schemas.feed import Feed
from streamscore.forecasting.forecast import Forecast, forecast
from streamscore.forecasting.history import History
from streamscore.landing.manifest import LandedFile
from streamscore.models.series_model import SeriesModel
from streamscore.reading.landed import Open, open_local
from streamscore.reading.read import FileReject, read_chunks
from streamscore.reading.validate import validate
from streamscore.scoring.score import Scored


def score_series(
    files: Sequence[LandedFile],
    feed: Feed,
    model: SeriesModel,
    landing: str,
    history: History,
    *,
    chunk_rows: int,
    refused: Mapping[str, FileReject] | None = None,
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
