"""Requests that were never sent, for the tests of their log."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.serving.models.served_model import Answer
from jobs.serving.request_log.record import Record, Scored
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.values import Values
from schemas.feed import Column, Feed
from schemas.settings import RequestLog, Settings
from schemas.settings import Tables as TablesSettings
from streamscore.registry.model_version import ModelVersion

FEED = Feed(
    name="tiny",
    columns=(Column(name="fixed Acid", type="double"), Column(name="raw", type="long", nullable=True)),
)
INPUTS = Inputs(FEED, ("fixed Acid", "raw"), False, "predict")
SCORED = Scored(ModelVersion("m", "3", "run"), INPUTS, frozenset(), pa.float64())


def answered(number: int, **more: Any) -> Record:
    """A request of one row, whose id and values follow from a number."""
    scored = Scored(
        SCORED.version,
        INPUTS,
        SCORED.text,
        SCORED.output,
        Values({"fixed Acid": [number + 0.5], "raw": [number]}, 1),
        Answer(pa.array([number / 4])),
    )
    return Record(identity=f"id{number}", route="/models/{name}/predict", status=200, scored=scored, **more)


def settings_of(folder: Path, **more: Any) -> Settings:
    """Tables and spool in a folder."""
    log = RequestLog(**{"spool": str(folder / "spool")} | more)
    return Settings(tables=TablesSettings(path=str(folder / "tables/{feed}")), request_log=log)


def requests_in(folder: Path, feed: str = "tiny") -> list[dict[str, Any]]:
    """The table of a feed; empty if there is none."""
    from deltalake import DeltaTable

    path = folder / "tables" / feed / "requests"
    is_there = (path / "_delta_log" / f"{0:020}.json").exists()
    rows: list[dict[str, Any]] = DeltaTable(path).to_pyarrow_table().to_pylist() if is_there else []
    return rows
