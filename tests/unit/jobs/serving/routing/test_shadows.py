"""Candidates that are asked beside: here of a model of series, whose shadow forecasts the same steps."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from jobs.operations.compare import compare
from jobs.serving.models.model_table import ModelTable
from jobs.serving.models.served_series import Asked, ServedSeries
from jobs.serving.request_log.log import RequestLog
from jobs.serving.request_log.record import Record, scored_by
from jobs.serving.requests.values import Values
from jobs.serving.routing.shadows import Shadows
from schemas.settings import Routing, Serving
from streamscore.registry.model_version import ModelVersion
from tests.support import var_kit
from tests.support.request_kit import requests_in, settings_of
from tests.support.wait import until

QUARTERS = var_kit.macrodata().tail(8)


def served(version: str, more: float) -> ServedSeries:
    """The VAR, whose forecasts are so much more."""
    model, inputs = var_kit.in_memory()
    forecast = model._forecast
    changed = replace(
        model,
        identity=ModelVersion("macrodata", version, "run"),
        _forecast=lambda *windows: forecast(*windows) + more,
    )
    return ServedSeries.of(changed, None, inputs, "digest", None, ThreadPoolExecutor(1), Serving())


class Table:
    """Has the candidate."""

    def __init__(self, candidate: ServedSeries) -> None:
        self.candidate = candidate

    async def get(self, _: str) -> ServedSeries:
        return self.candidate


def observations(count: int) -> Values:
    return Values({name: QUARTERS[name].tolist()[-count:] for name in QUARTERS.columns}, count)


async def ask_beside(shadows: Shadows, log: RequestLog, served: ServedSeries) -> None:
    running = asyncio.create_task(shadows.run())
    for number, steps in enumerate((2, 3)):
        asked = Asked(observations(8), steps)
        record = Record(identity=f"id{number}", route="/forecast/{user}", status=200, shadow="models:/macrodata/2")
        record.scored, record.series = scored_by(served, answer=await served.forecast(asked)), asked
        log.done(record)
        shadows.done(record)
    for _ in range(200):
        if sum(shadows.counts.values()) == 2:
            break
        await asyncio.sleep(0.02)
    running.cancel()


@pytest.mark.parametrize(("more", "difference"), [(0.0, 0.0), (2.5, 2.5)])
def test_the_shadow_of_a_model_of_series_is_logged_beside_and_compared(
    tmp_path: Path, more: float, difference: float
) -> None:
    settings = settings_of(tmp_path)
    log = RequestLog(settings)
    log.start()
    shadows = Shadows(cast("ModelTable", Table(served("2", more))), log, Routing(shadow_share=1.0))
    asyncio.run(ask_beside(shadows, log, served("1", 0.0)))
    log.stop()
    assert shadows.counts == {"asked": 2}
    rows: list[dict[str, Any]] = requests_in(tmp_path, "macrodata")
    mine = {(row["trial"], row["request_id"], row["step"]): row["realgdp_forecast"] for row in rows}
    assert sorted(mine, key=str) == sorted(
        [(trial, f"id{n}", step) for trial in (None, "shadow") for n in (0, 1) for step in range(1, n + 3)], key=str
    )
    assert mine["shadow", "id1", 3] == pytest.approx(mine[None, "id1", 3] + more)
    (found,) = compare("macrodata", settings).shadows
    assert (found.version, found.candidate, found.rows, found.only_one) == ("1", "2", 5 * 3, 0)
    assert found.mean_difference == pytest.approx(difference)
    assert (found.latency.requests, found.candidate_latency.requests) == (2, 2)


def test_the_canary_of_a_model_of_series_is_compared(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    log = RequestLog(settings)
    log.start()
    for version, trial in (("1", ""), ("2", "canary")):
        answering = served(version, float(version))
        ahead = asyncio.run(answering.forecast(Asked(observations(8), 2)))
        log.done(Record(identity=version, status=200, trial=trial, scored=scored_by(answering, answer=ahead)))
    log.done(Record(identity="3", status=422, trial="canary", scored=scored_by(served("2", 0.0))))
    log.stop()
    found = {one.version: one for one in compare("macrodata", settings).canaries}
    assert [(found[v].trial, found[v].rows, found[v].latency.requests) for v in "12"] == [("", 6, 1), ("canary", 9, 2)]
    assert found["2"].mean == pytest.approx((found["1"].mean or 0) + 1)
    assert (found["1"].failed, found["2"].failed) == (0, 1 / 3)


def test_a_candidate_that_cannot_forecast_is_logged_with_its_reason(tmp_path: Path) -> None:
    log = RequestLog(settings_of(tmp_path))
    log.start()
    candidate = served("2", 0.0)
    contract = replace(candidate.model.contract, window_rows=9)
    wants_more = replace(candidate, model=replace(candidate.model, contract=contract))
    shadows = Shadows(cast("ModelTable", Table(wants_more)), log, Routing(shadow_share=1.0))
    asyncio.run(ask_beside(shadows, log, served("1", 0.0)))
    until(lambda: log.balance.waiting == 0, 10)
    log.stop()
    refused = [row for row in requests_in(tmp_path, "macrodata") if row["trial"] == "shadow"]
    assert [row["detail"] for row in refused] == ["found 8 observations, wanted at least 9"] * 2
