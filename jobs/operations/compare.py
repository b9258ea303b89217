"""`streamscore compare`: a candidate against the model in Production, on the requests that both scored."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from jobs.operations.compare_stream import streamed_pairs
from schemas.errors import ContractError, StorageError
from schemas.feed import FORECAST, Feed, feed_names, load_feed
from schemas.settings import Settings
from schemas.tables import REQUESTS, SERVICE, service_feed
from streamscore.registry.model_uri import model_name
from streamscore.tables.read_table import read_table

KEY = ("app_id", "request_number", "request_row", "step", "feature")
COLUMNS = ["app_id", "request_number", "request_row", "trial", "model_name", "model_version", "request_status"]
COLUMNS += ["request_seconds"]
SHADOW = "model_version_of_shadow"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of requests: of an answer from the request on, of a shadow its share of the call."""

    requests: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a shadow said, against what was answered, row by row.

    Attributes:
        rows: that both predicted; of series, steps of their features.
        only_one: that one of them did not.
        equal: share of the rows with the same prediction.
        mean_difference, mean_absolute, p99_absolute, largest: candidate minus Production; None unless both are numbers.
    """

    version: str
    candidate: str
    rows: int
    only_one: int
    equal: float
    mean_difference: float | None
    mean_absolute: float | None
    p99_absolute: float | None
    largest: float | None
    latency: Latency
    candidate_latency: Latency


@dataclass(frozen=True, slots=True)
class Answering:
    """What a version answered, of the two sides of a canary; each side has other users, so rows are not paired.

    Attributes:
        failed: share of the requests with a status from 500 on, or 422.
        mean: of its predictions; None unless they are numbers.
    """

    trial: str
    version: str
    rows: int
    failed: float
    mean: float | None
    latency: Latency


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one model."""

    model: str
    shadows: tuple[Shadowed, ...]
    canaries: tuple[Answering, ...]

    def to_json(self) -> str:
        """For programs."""
        return json.dumps(asdict(self))


def compare(name: str, settings: Settings) -> Comparison:
    """Compare what answered for a model with what was tried beside it, in the service and in the stream.

    By the table `requests`, and `shadows` of routed feeds.

    Raises:
        ContractError: no candidate was tried.
        StorageError: there is no such table.
    """
    streamed = tuple(
        _shadowed(*of) for pairs in streamed_pairs(name, settings) for of in _groups(pairs, ["model_version", SHADOW])
    )
    try:
        shadows, canaries = _requested(name, settings)
    except StorageError:  # no service
        if not streamed:
            raise
        shadows, canaries = (), ()
    if not shadows and not canaries and not streamed:
        msg = f"no candidate was tried beside {name}; give its route a shadow or a canary: docs/routing.md"
        raise ContractError(msg)
    return Comparison(name, streamed + shadows, canaries)


def _requested(name: str, settings: Settings) -> tuple[tuple[Shadowed, ...], tuple[Answering, ...]]:
    """By the log of requests."""
    rows = _predictions(_feed_of(name), settings)
    is_shadow = pc.fill_null(pc.equal(rows["trial"], "shadow"), False)
    answers = rows.filter(pc.and_(pc.invert(is_shadow), pc.fill_null(pc.equal(rows["model_name"], name), False)))
    pairs = answers.join(rows.filter(is_shadow), list(KEY), join_type="inner", right_suffix="_of_shadow")
    shadows = tuple(_shadowed(*of) for of in _groups(pairs, ["model_version", SHADOW]))
    tried = pc.any(pc.fill_null(pc.equal(answers["trial"], "canary"), False)).as_py()
    canaries = tuple(_answering(*of) for of in _groups(answers, ["trial", "model_version"])) if tried else ()
    return shadows, canaries


def assert_within(found: Comparison, limit: float) -> None:
    """Refuse a candidate that differs more.

    Raises:
        ContractError: the mean absolute difference of a shadow is above the limit, or its predictions are no numbers
            and others than Production's.
    """
    for one in found.shadows:
        difference = 1 - one.equal if one.mean_absolute is None else one.mean_absolute
        if difference > limit:
            msg = (
                f"model {found.model}: v{one.candidate} differs from v{one.version} by {difference:.6g} on average, "
                f"wanted at most {limit:g}; look: streamscore compare {found.model}"
            )
            raise ContractError(msg)


def show(found: Comparison, console: Console) -> None:
    """Print it."""
    if found.shadows:
        columns = (
            "Production",
            "shadow",
            "rows",
            "only one",
            "equal",
            "mean diff",
            "mean |diff|",
            "p99 |diff|",
            "p50 / p99",
        )
        table = Table(*columns, title="shadow", title_justify="left")
        for one in found.shadows:
            numbers = [_number(v) for v in (one.mean_difference, one.mean_absolute, one.p99_absolute)]
            counts = [f"{one.rows:,}", f"{one.only_one:,}", f"{one.equal:.1%}"]
            table.add_row(f"v{one.version}", f"v{one.candidate}", *counts, *numbers, _seconds(one.candidate_latency))
        console.print(table)
    if found.canaries:
        table = Table("answers", "version", "rows", "failed", "mean", "p50 / p99", title="canary", title_justify="left")
        for side in found.canaries:
            said = f"{side.rows:,}", f"{side.failed:.2%}", _number(side.mean), _seconds(side.latency)
            table.add_row(side.trial or "Production", f"v{side.version}", *said)
        console.print(table)


def _feed_of(model: str) -> Feed:
    feeds = (load_feed(name) for name in feed_names())
    return next((feed for feed in feeds if model_name(feed.model_uri) == model), service_feed())


def _predictions(feed: Feed, settings: Settings) -> pa.Table:
    """What was predicted, and by whom: a row for each row, or for each step and feature of a forecast."""
    if feed.kind != "series":
        more = ["prediction", "raw"] if feed.name == SERVICE else ["prediction"]
        rows = read_table(feed, REQUESTS, columns=[*COLUMNS, *more], settings=settings)
        raw = rows["raw"].to_pylist() if "raw" in rows.column_names else [None] * len(rows)
        steps = pa.array([_step(text) for text in raw], pa.int32())
        return rows.append_column("step", steps).append_column("feature", pa.array([""] * len(rows)))
    names = [f"{column.table_name}_{FORECAST[0]}" for column in feed.features]
    rows = read_table(feed, REQUESTS, columns=[*COLUMNS, "step", *names], settings=settings)
    base = rows.select([*COLUMNS, "step"]).set_column(
        len(COLUMNS),
        "step",
        pc.fill_null(rows["step"], 0),  # a request without forecasts
    )
    of_each = [
        base.append_column("prediction", pc.if_else(pc.is_nan(rows[name]), None, rows[name])).append_column(
            "feature", pa.array([name] * len(rows))
        )
        for name in names
    ]
    return pa.concat_tables(of_each)


def _step(raw: str | None) -> int:
    """The step of a forecast by a model without a feed; of what is none, the same number on both sides."""
    try:
        said = json.loads(raw or "null")
    except ValueError:
        return 0
    step = said.get("step") if isinstance(said, dict) and "after" in said else 0
    return step if type(step) is int and abs(step) < 2**31 else 0


def _groups(rows: pa.Table, names: list[str]) -> list[tuple[list[Any], pa.Table]]:
    """The rows by the values of columns, in the order of these."""
    kinds = rows.group_by(names).aggregate([]).to_pylist()
    found = []
    for kind in sorted(kinds, key=lambda kind: [str(kind[name] or "") for name in names]):
        mine = pa.chunked_array([pa.repeat(True, len(rows))])
        for name in names:
            same = pc.is_null(rows[name]) if kind[name] is None else pc.equal(rows[name], kind[name])
            mine = pc.and_(mine, pc.fill_null(same, False))
        found.append(([kind[name] for name in names], rows.filter(mine)))
    return found


def _shadowed(versions: Sequence[str], rows: pa.Table) -> Shadowed:
    is_there = pc.is_valid(rows["prediction"]), pc.is_valid(rows["prediction_of_shadow"])
    both = rows.filter(pc.and_(*is_there))
    one, other = both["prediction"].to_pylist(), both["prediction_of_shadow"].to_pylist()
    numbers = _numbers(one), _numbers(other)
    differences = None if numbers[0] is None or numbers[1] is None else numbers[1] - numbers[0]
    absolute = None if differences is None or not len(differences) else np.abs(differences)
    version, candidate = versions
    return Shadowed(
        version=version,
        candidate=candidate,
        rows=len(both),
        only_one=pc.sum(pc.xor(*is_there)).as_py() or 0,
        equal=sum(a == b for a, b in zip(one, other, strict=True)) / max(1, len(both)),
        mean_difference=None if absolute is None else float(np.mean(differences)),  # type: ignore[arg-type]
        mean_absolute=None if absolute is None else float(np.mean(absolute)),
        p99_absolute=None if absolute is None else float(np.quantile(absolute, 0.99)),
        largest=None if absolute is None else float(np.max(absolute)),
        latency=_latency(rows, "request_seconds"),
        candidate_latency=_latency(rows, "request_seconds_of_shadow"),
    )


def _answering(of: Sequence[str | None], rows: pa.Table) -> Answering:
    trial, version = of
    status = rows["request_status"].to_numpy()
    numbers = _numbers(pc.drop_null(rows["prediction"]).to_pylist())
    failed = float(np.mean((status >= 500) | (status == 422)))
    mean = float(np.mean(numbers)) if numbers is not None and len(numbers) else None
    return Answering(trial or "", version or "", len(rows), failed, mean, _latency(rows, "request_seconds"))


def _numbers(values: list[Any]) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    """Predictions as numbers, those of a model without a feed out of their JSON; None if they are none."""
    try:
        found = [json.loads(value) if isinstance(value, str) else value for value in values]
    except ValueError:
        return None
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in found):
        return None
    return np.array(found, np.float64)


def _latency(rows: pa.Table, column: str) -> Latency:
    """Of the requests, each once, however many rows it has."""
    of_each = rows.group_by(["app_id", "request_number"]).aggregate([(column, "max")])[f"{column}_max"]
    seconds = pc.drop_null(of_each).to_numpy()
    if not len(seconds):
        return Latency(0, 0.0, 0.0)
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return Latency(len(seconds), float(p50), float(p99))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _seconds(latency: Latency) -> str:
    return f"{1000 * latency.p50:.2f} / {1000 * latency.p99:.2f} ms"
