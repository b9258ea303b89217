"""`streamscore check-version`: a registered version in this process, alone and through what the stream runs.

For the training pipeline, which may not import the stream and starts this as a command.
"""

import importlib
import itertools
import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from jobs.operations.example_file import land_rows
from schemas.errors import ContractError
from schemas.feed import FORECAST, Column, Feed
from streamscore.forecasting.history import History
from streamscore.forecasting.score import score_series
from streamscore.models.load import import_loaders
from streamscore.models.row_model import Model, load_model
from streamscore.models.series_model import Floats, SeriesModel, load_series_model
from streamscore.reading.options import ReadOptions
from streamscore.registry.model_version import version_uri
from streamscore.registry.pyfunc import Pyfunc, load_pyfunc
from streamscore.registry.registry import Registry
from streamscore.scoring.score import score

if TYPE_CHECKING:
    import pandas as pd

PREDICTS = 100  # of which p99 is told
SECONDS = 10.0  # and no more of them after that
SAME = 1e-12  # relative: the same number, computed in another order of rows
SHOWN = 3
CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Found:
    """What a version did.

    Attributes:
        predict_ms: p99 of predicting the input example.
        memory_mb: resident, with the model loaded once.
        rows: of the example that went through the stream.
        differences: between the stream's answers and the model's own, a line each.
    """

    predict_ms: float
    memory_mb: float
    rows: int
    differences: tuple[str, ...]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def import_all() -> None:
    """What takes seconds, while nobody waits for it yet."""
    import_loaders()
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


def check_version(feed: Feed, name: str, version: str, registry: Registry) -> Found:
    """Load a version from the registry, predict its input example, and again through the stream.

    1. Time and memory of the model alone.  2. Loaded and warmed up as the stream does it.  3. The example, as a file of
    the feed, through `score()` or `score_series()`, held against the model's own answers.

    Raises:
        ContractError: it may not be loaded, has no example, or does not fit the feed.
        RegistryError: it cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as temporary:
        ref = registry.resolve(version_uri(name, version), feed.name)
        path = registry.download(ref, Path(temporary, "models"))
        pyfunc = load_pyfunc(path)
        example = _example(pyfunc, str(path), ref.title)
        milliseconds, memory = _measure(pyfunc, example), _memory_mb()
        landed = Path(temporary, "landing")
        landed.mkdir()
        if feed.kind == "series":
            series = load_series_model(path, feed, ref.model)
            said = _series_differences(feed, series, pyfunc, example, landed)
        else:
            model = load_model(path, feed, ref.model)
            said = _rows_differences(feed, model, example, landed)
        differences = tuple(itertools.islice(said, SHOWN))
    return Found(milliseconds, memory, len(example), differences)


def _rows_differences(feed: Feed, model: Model, example: Any, landing: Path) -> Iterator[str]:
    alone = model.predict_example(example)
    file = land_rows(feed, _frame(feed, example).to_dict("records"), landing)
    scored = list(score([file], feed, model, ReadOptions(landing.as_uri(), CHUNK_ROWS)))
    predictions = pa.concat_tables(chunk.predictions for chunk in scored)
    rejects = pa.concat_tables(chunk.rejects for chunk in scored)
    yield from _rejected(rejects) if rejects.num_rows else _different(alone.to_pylist(), predictions["prediction"])


def _series_differences(feed: Feed, model: SeriesModel, pyfunc: Pyfunc, example: Any, landing: Path) -> Iterator[str]:
    """The forecasts after the example's last `window_rows` rows, each step and column."""
    # the example is of the past of no landed file, has no key, and may have no times: none of these says anything here
    rules = {"ahead_seconds": None, "gap": "forecast", "untrained": "forecast"}
    feed = feed.model_copy(update={"series": feed.series.model_copy(update=rules)})
    window = _frame(feed, example).tail(model.window_rows)
    file, before = (
        land_rows(feed, _with_times(feed, window).to_dict("records"), landing),
        History(model.window_rows, {}),
    )
    done = list(score_series([file], feed, model, before, ReadOptions(landing.as_uri(), CHUNK_ROWS)))
    rejects = pa.concat_tables(chunk.scored.rejects for chunk in done)
    if rejects.num_rows:
        yield from _rejected(rejects)
        return
    forecasts = pa.concat_tables(chunk.scored.predictions for chunk in done)
    streamed = forecasts.filter(pc.equal(forecasts["observation"], len(window)))
    if streamed["step"][0].as_py() == 0:
        why = streamed["failure"][0].as_py() or f"it has {len(window)} rows, wanted at least {model.window_rows}"
        yield f"the stream has no forecast after its example: {why}"
        return
    alone = pyfunc.predict(window, params={"steps": feed.series.steps})
    for column in (c for c in feed.features if c.name in model.contract.endogenous):
        names = [column.name, *(f"{column.name}_{bound}" for bound in FORECAST[1:])]
        ours = np.column_stack([streamed[f"{column.table_name}_{what}"].to_numpy() for what in FORECAST])
        try:
            own = alone[names].to_numpy(np.float64)
        except (KeyError, TypeError, IndexError):
            yield f"its predict gives no columns {', '.join(names)}, the stream gets forecasts of '{column.name}'"
            continue
        yield from _different_steps(column, own, ours)


def _different_steps(column: Column, own: Floats, streamed: Floats) -> Iterator[str]:
    """Where forecast or bounds of a column differ; (steps, 3) each."""
    if own.shape != streamed.shape:
        yield f"the model forecasts {len(own)} steps of '{column.name}', the stream {len(streamed)}"
        return
    # in units of the largest of the three: a bound near nothing is a difference of large numbers
    apart = np.abs(own - streamed).max(axis=1) > SAME * np.abs(own).max(axis=1)
    for step in np.flatnonzero(apart | ~np.isfinite(own).all(axis=1)):
        yield (
            f"for step {step + 1} after its example the model forecasts {own[step].tolist()} of '{column.name}' "
            f"(with bounds), the stream {streamed[step].tolist()}"
        )


def _example(pyfunc: Pyfunc, path: str, title: str) -> Any:
    if not pyfunc.metadata.saved_input_example_info:
        msg = f"model {title} has no input example to predict; log it with log_model(..., input_example=…)"
        raise ContractError(msg)
    return pyfunc.metadata.load_input_example(path)


def _measure(pyfunc: Pyfunc, example: Any) -> float:
    """Milliseconds, p99; what the first call sets up is left out."""
    pyfunc.predict(example)
    begun, took = time.perf_counter(), list[float]()
    while len(took) < PREDICTS and (not took or time.perf_counter() - begun < SECONDS):
        start = time.perf_counter()
        pyfunc.predict(example)
        took.append(1000 * (time.perf_counter() - start))
    return float(np.percentile(took, 99))


def _memory_mb() -> float:
    """Resident, with the processes of models that bring code of their own."""
    this = psutil.Process()
    return sum(one.memory_info().rss for one in (this, *this.children(recursive=True))) / 2**20


def _frame(feed: Feed, example: Any) -> "pd.DataFrame":
    """The example with the features' names, which that of a tensor model lacks."""
    import pandas as pd

    if isinstance(example, pd.DataFrame):
        return example
    return pd.DataFrame(np.asarray(example), columns=[column.name for column in feed.features])


def _with_times(feed: Feed, example: "pd.DataFrame") -> "pd.DataFrame":
    """The example with the feed's time as times, made up where it has none."""
    import pandas as pd

    name = feed.time.name
    days = pd.date_range("2000-01-01", periods=len(example), freq="D")
    return example.assign(**{name: pd.to_datetime(example[name]) if name in example else days})  # JSON has text


def _rejected(rejects: pa.Table) -> Iterator[str]:
    for reject in rejects.to_pylist():
        yield (
            f"the stream rejects line {reject['source_line']} of the example: {reject['reason']} "
            f"{reject['column'] or ''} {reject['detail'] or ''}".rstrip()
        )


def _different(alone: list[Any], streamed: pa.ChunkedArray) -> Iterator[str]:
    for row, (one, other) in enumerate(zip(alone, streamed.to_pylist(), strict=True)):
        if not _same(one, other):
            yield f"for row {row} of its example the model predicts {one!r}, the stream {other!r}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SAME)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
