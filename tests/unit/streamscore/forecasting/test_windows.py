"""Series that the model was not trained on, and windows with gaps, have no forecasts unless the feed says so."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.frequency import Frequency
from schemas.signature import SeriesContract, series_contract
from schemas.tables import forecast_type
from streamscore.forecasting.forecast import Forecast
from streamscore.forecasting.history import History, StoredWindows, Window, with_changes
from streamscore.forecasting.score import score_series
from streamscore.landing.manifest import LandedFile
from streamscore.models.series_model import Floats, SeriesModel
from streamscore.reading.options import ReadOptions
from streamscore.registry.model_version import ModelVersion

HOURLY = Frequency(microseconds=3_600_000_000)
MONTHLY = Frequency(months=1)


def feed_of(time: str = "timestamp", **series: Any) -> Feed:
    columns = [
        {"name": "firm", "type": "string", "role": "key"},
        {"name": "at", "type": time, "role": "time"},
        {"name": "x", "type": "double"},
    ]
    rules = {"steps": 1, "ahead_seconds": None} | series
    return Feed.model_validate({"name": "firms", "kind": "series", "series": rules, "columns": columns})


def model_of(feed: Feed, key: tuple[str | None, ...] | None = None, frequency: Frequency | None = None) -> SeriesModel:
    """Forecasts the sum of the last two values."""

    def forecast(windows: Floats, steps: int) -> Floats:
        return np.tile(windows.sum(axis=1)[:, np.newaxis, :, np.newaxis], (1, steps, 1, 3))

    contract = SeriesContract(2, ("x",), key, frequency)
    return SeriesModel(ModelVersion("m", "1", "r"), "", contract, forecast_type(feed), forecast, np.array([0]))


def forecasts(text: str, feed: Feed, model: SeriesModel, folder: Path, cut: bool = False) -> tuple[Any, list[Any]]:
    """Forecast and failure of each observation that is taken, and reason, column and detail of each that is not."""
    history, done = History(2, {}), list[Forecast]()
    for number, part in enumerate(text.splitlines() if cut else [text]):
        path = folder / f"{number}.csv"
        path.write_text(f"firm,at,x\n{part}\n")
        file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        done += score_series([file], feed, model, history, ReadOptions(folder.as_uri(), 1000))
        history = done[-1].history
    table = pa.concat_tables(chunk.scored.predictions for chunk in done)
    rejects = pa.concat_tables(chunk.scored.rejects for chunk in done)
    seen = [tuple(row.values()) for row in table.select(["x_forecast", "failure"]).to_pylist()]
    return seen, [(row["reason"], row["column"], row["detail"]) for row in rejects.to_pylist()]


@pytest.mark.parametrize("cut", [False, True], ids=["one chunk", "a chunk each"])
def test_a_window_with_a_gap_is_marked_and_the_next_whole_one_is_forecast(tmp_path: Path, cut: bool) -> None:
    feed = feed_of()
    text = "".join(f"a,2026-01-01T{hour:02}:00:00Z,{hour}\n" for hour in (1, 2, 5, 6, 7))
    found, rejects = forecasts(text, feed, model_of(feed, frequency=HOURLY), tmp_path, cut)
    gap = "gap: found 2026-01-01T05:00:00+00:00 after 2026-01-01T02:00:00+00:00, wanted 0 days 01:00:00 between them"
    assert found == [(None, None), (3.0, None), (None, gap), (11.0, None), (13.0, None)]
    assert rejects == []


@pytest.mark.parametrize("cut", [False, True], ids=["one chunk", "a chunk each"])
def test_a_feed_may_refuse_each_observation_that_does_not_follow(tmp_path: Path, cut: bool) -> None:
    feed = feed_of(gap="refuse")
    text = "".join(f"a,2026-01-01T0{time}:00Z,1\n" for time in ("1:00", "2:00", "2:30", "4:00", "3:00", "4:00"))
    found, rejects = forecasts(text, feed, model_of(feed, frequency=HOURLY), tmp_path, cut)
    assert found == [(None, None), (2.0, None), (2.0, None), (2.0, None)]
    assert [(reason, column) for reason, column, _ in rejects] == [("gap", "at"), ("gap", "at")]
    assert rejects[0][2].startswith("found 2026-01-01T02:30:00+00:00 after 2026-01-01T02:00:00+00:00, wanted 0 days 01")


@pytest.mark.parametrize("frequency", [None, HOURLY])
def test_gaps_say_nothing_to_a_model_without_a_frequency_or_if_the_feed_says_so(
    tmp_path: Path, frequency: Frequency | None
) -> None:
    feed = feed_of(gap="forecast" if frequency else "mark")
    text = "a,2026-01-01T01:00:00Z,1\na,2026-01-03T01:00:00Z,1\n"
    assert forecasts(text, feed, model_of(feed, frequency=frequency), tmp_path)[0] == [(None, None), (2.0, None)]


def test_a_replaced_newest_observation_of_a_window_with_a_gap_is_marked_again(tmp_path: Path) -> None:
    feed = feed_of(duplicate="replace")
    text = "".join(f"a,2026-01-01T0{hour}:00:00Z,1\n" for hour in (1, 3, 3))
    found, _ = forecasts(text, feed, model_of(feed, frequency=HOURLY), tmp_path)
    assert [failure and failure[:4] for _, failure in found] == [None, "gap:", "gap:"]


@pytest.mark.parametrize("cut", [False, True], ids=["one chunk", "a chunk each"])
@pytest.mark.parametrize("rule", ["mark", "refuse", "forecast"])
def test_another_series_than_the_model_was_trained_on_has_no_forecast_unless_the_feed_says_so(
    tmp_path: Path, rule: str, cut: bool
) -> None:
    feed = feed_of("date", untrained=rule)
    text = "".join(f"{firm},{year}-12-31,1\n" for year in (1935, 1936) for firm in ("General Motors", "Steel"))
    found, rejects = forecasts(text, feed, model_of(feed, ("General Motors",)), tmp_path, cut)
    why = "found firm Steel, the model was trained on firm General Motors"
    last: dict[str, list[Any]] = {"mark": [(None, f"untrained: {why}")], "refuse": [], "forecast": [(2.0, None)]}
    first = [(None, None)] * (1 if rule == "refuse" else 2)
    assert found == [*first, (2.0, None), *last[rule]]
    assert rejects == ([("untrained", "firm", why)] * 2 if rule == "refuse" else [])


@pytest.mark.parametrize(
    ("frequency", "times", "follows"),
    [
        (MONTHLY, ["2024-01-31", "2024-02-29", "2024-03-31", "2024-05-31"], [True, True, False]),
        (Frequency(months=12), ["1700-12-31", "1701-12-31", "1703-12-31"], [True, False]),
        (Frequency.parse("P7D"), ["2024-02-25", "2024-03-03", "2024-03-09"], [True, False]),
    ],
)
def test_a_frequency_knows_the_next_day(frequency: Frequency, times: list[str], follows: list[bool]) -> None:
    days = np.array(times, "datetime64[D]").astype(np.int64)
    assert frequency.follows(days, are_days=True).tolist() == follows
    assert frequency.follows(days * 86_400_000_000, are_days=False).tolist() == follows


@pytest.mark.parametrize(
    ("text", "told"),
    [("P3M", "3 months"), ("P1M", "1 month"), ("P1D", "1 days 00:00:00"), ("PT3600S", "0 days 01:00:00")],
)
def test_a_frequency_is_one_text_in_metadata_and_one_for_people(text: str, told: str) -> None:
    made = Frequency.parse(text)
    assert (made.text, str(made)) == (text, told)
    if not made.months:
        assert told == str(pd.Timedelta(microseconds=made.microseconds))
    assert str(Frequency(microseconds=1500)) == str(pd.Timedelta(microseconds=1500)) == "0 days 00:00:00.001500"


@pytest.mark.parametrize("text", ["", "P0D", "3 months", "P1M2D", "PT0S", None, 5])
def test_metadata_that_say_no_frequency_or_another_key_are_refused(text: Any) -> None:
    said = {"kind": "series", "window_rows": 2, "endogenous": ["x"], "frequency": text}
    if not text:
        assert series_contract(feed_of(), {"streamscore": said}, "m v1").frequency is None
        return
    with pytest.raises(ContractError, match="wanted kind, window_rows and endogenous, and perhaps key and frequency"):
        series_contract(feed_of(), {"streamscore": said}, "m v1")


@pytest.mark.parametrize("key", [{}, {"shop": "a"}, {"firm": "a", "shop": "a"}])
def test_a_version_trained_on_a_series_by_other_keys_is_refused(key: dict[str, str]) -> None:
    said = {"kind": "series", "window_rows": 2, "endogenous": ["x"], "key": key}
    with pytest.raises(ContractError, match="the feed's key columns are firm") as error:
        series_contract(feed_of(), {"streamscore": said}, "m v1")
    assert error.value.exit_code == 3


def test_a_version_that_says_neither_key_nor_frequency_forecasts_all() -> None:
    said = {"kind": "series", "window_rows": 2, "endogenous": ["x"]}
    assert series_contract(feed_of(), {"streamscore": said}, "m v1") == SeriesContract(2, ("x",))


def test_of_a_hundred_thousand_series_a_chunk_holds_only_its_own() -> None:
    feed, many = feed_of(), 100_000
    keys = pa.array([f"firm {n:06}" for n in range(many) for _ in range(2)])
    times = pa.array(np.tile([1, 2], many), pa.timestamp("us", tz="UTC"))
    stored = StoredWindows(pa.table({"firm": keys, "at": times, "x": np.arange(2.0 * many)}), feed)
    assert len(stored) == many and stored[("firm 000007",)].values[:, 0].tolist() == [14, 15]
    one = Window(np.array([3]), np.array([[0.5]]))
    tracemalloc.start()
    windows = with_changes(stored, {("firm 000001",): one})
    for n in range(1000):
        windows = with_changes(windows, {(f"firm {n % 50:06}",): one, ("new",): one})
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    assert len(windows) == many + 1
    assert windows[("new",)] is windows[("firm 000049",)] is one and ("other",) not in windows
    assert windows[("firm 099999",)].values[:, 0].tolist() == [199_998, 199_999]


@pytest.mark.parametrize(
    ("frequency", "time", "observed", "wanted"),
    [
        (
            "PT1H",
            "timestamp",
            ["2026-01-01T22:00:00Z", "2026-01-01T23:00:00Z"],
            ["2026-01-02T00:00", "2026-01-02T01:00"],
        ),
        ("B", "date", ["2026-01-01", "2026-01-02"], ["2026-01-05", "2026-01-06"]),
        ("BME", "date", ["2024-02-29", "2024-03-29"], ["2024-04-30", "2024-05-31"]),
        ("P12M", "date", ["1500-12-31", "1501-12-31"], ["1502-12-31", "1503-12-31"]),
        ("P12M", "date", ["9997-12-31", "9998-12-31"], ["9999-12-31", None]),
        (
            "P1D Europe/Berlin",
            "timestamp",
            ["2024-03-28T23:00:00Z", "2024-03-29T23:00:00Z"],
            ["2024-03-30T23:00", "2024-03-31T22:00"],
        ),
        ("PT1H", "date", ["2026-01-01", "2026-01-02"], [None, None]),
        (None, "date", ["2026-01-01", "2026-01-02"], [None, None]),
    ],
)
def test_each_step_has_its_time_where_the_model_says_how_far_apart_they_are(
    tmp_path: Path, frequency: str | None, time: str, observed: list[str], wanted: list[str | None]
) -> None:
    feed = feed_of(time, steps=2, gap="forecast")
    model = model_of(feed, frequency=Frequency.parse(frequency) if frequency else None)
    (tmp_path / "0.csv").write_text("firm,at,x\n" + "".join(f"a,{at},1\n" for at in observed))
    status = (tmp_path / "0.csv").stat()
    file = LandedFile((tmp_path / "0.csv").as_uri(), status.st_size, status.st_mtime_ns)
    done = list(score_series([file], feed, model, History(2, {}), ReadOptions(tmp_path.as_uri(), 1000)))
    table = done[0].scored.predictions
    assert table["step"].to_pylist() == [0, 1, 2]
    assert table.schema.field("forecast_time").type == feed.time.arrow_type
    first, *times = table["forecast_time"].to_pylist()
    assert first is None
    assert [at and at.isoformat()[: len(text or "")] for at, text in zip(times, wanted, strict=True)] == wanted
