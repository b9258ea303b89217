"""A version of the registry → what answers with it: a model of rows, or one of series."""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from jobs.serving.models.served_model import ServedModel
from jobs.serving.models.served_series import ServedSeries
from jobs.serving.requests.contract import Inputs, feed_of, inputs_of, is_of_series, series_inputs_of
from jobs.serving.requests.values import Values
from schemas.columns import Column
from schemas.errors import ContractError, StreamscoreError
from schemas.settings import Serving
from schemas.value_text import parse
from streamscore.models.row_model import load_model
from streamscore.models.series_model import load_series_model
from streamscore.registry.allow_list import parse_mlmodel
from streamscore.registry.manifest import take_manifest
from streamscore.registry.model_uri import ModelRef
from streamscore.registry.registry import signature_of

Served = ServedModel | ServedSeries


def load_served(path: Path, ref: ModelRef, pool: Executor, settings: Serving) -> Served:
    """Load a downloaded version, hold it against its feed or its signature, and try it.

    Raises:
        ContractError: it cannot be served.
    """
    mlmodel = parse_mlmodel((path / "MLmodel").read_bytes(), ref.title)
    signature, feed = signature_of(mlmodel), feed_of(ref.name)
    digest = take_manifest(path).digest
    try:
        if is_of_series(mlmodel):
            inputs = series_inputs_of(mlmodel, signature, ref.title, feed)
            series = load_series_model(path, inputs.feed, ref.model)
            trained_on = _example(path, mlmodel, inputs, series.contract.key)
            return ServedSeries.of(series, signature, inputs, digest, trained_on, pool, settings)
        inputs = inputs_of(signature, ref.title, feed)
        model = load_model(path, inputs.feed, ref.model)
    except StreamscoreError:
        raise
    except (Exception, SystemExit) as error:  # a model's code may raise anything
        msg = f"model {ref.title} cannot be loaded: {type(error).__name__}"
        raise ContractError(msg) from error
    assert signature is not None  # inputs_of
    return ServedModel.of(model, signature, inputs, digest, pool, settings)


def _example(
    path: Path, mlmodel: Mapping[str, Any], inputs: Inputs, key: tuple[str | None, ...] | None
) -> Values | None:
    """The observations that the version has as its input example; None if it has none of this series.

    Args:
        key: the series that it was trained on, by the text of its key columns.
    """
    example = mlmodel.get("saved_input_example_info") or {}
    feed = inputs.feed
    if example.get("type") != "dataframe" or (feed.keys and key is None):
        return None
    try:
        frame = json.loads((path / example["artifact_path"]).read_bytes())
        columns = dict(zip(frame["columns"], map(list, zip(*frame["data"], strict=True)), strict=True))
        # a column that the model does not need may be missing
        found = {c.name: columns[c.name] for c in feed.observed if c.name in columns or not c.nullable}
        found[feed.time.name] = [_time(text, feed.time) for text in columns[feed.time.name]]
        count = len(found[feed.time.name])
        for column, text in zip(feed.keys, key or (), strict=True):
            found[column.name] = [None if text is None else parse(text, column.type)] * count
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return Values(found, count)


def _time(text: str, column: Column) -> Any:
    """A time as MLflow writes it in an example."""
    time = parse(text, "timestamp")
    return time.date() if column.type == "date" else time  # type: ignore[union-attr]
