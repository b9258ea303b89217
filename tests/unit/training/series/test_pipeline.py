"""Training of a series: what is refused, what is chosen, what is logged and registered."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.errors import FeedError, RegistryError, SettingsError
from schemas.feed import Feed, load_feed
from schemas.frequency import Frequency
from schemas.settings import Models, load_settings
from streamscore.registry.allow_list import assert_folder_loadable
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from training.data.fetch import fetch
from training.pipeline import TrainResult, train
from training.rows import Source
from training.series.backtest import Backtest, Errors, backtest, origin_rows
from training.series.baselines import Contestant, gradient_boosting, naive, seasonal_naive
from training.series.data import load_series
from training.series.log_forecaster import metadata_of, signature_of
from training.series.macrodata import macrodata_csv
from training.series.order import assert_enough, assert_independent, choose_lags
from training.series.pipeline import evaluate_forecaster, fit_series
from training.series.result import SeriesResult
from training.series.stationarity import difference, unit_root_tests
from training.settings import Check, Estimator, Gate, Series, TrainingSettings, load_training_settings

pytestmark = pytest.mark.trains

COLUMNS = [
    {"name": "at", "type": "date", "role": "time"},
    {"name": "place", "type": "string", "role": "key"},
    {"name": "sold", "type": "double"},
    {"name": "made", "type": "double"},
]


@pytest.fixture(scope="module")
def shop() -> Feed:
    return Feed.model_validate({"name": "shop", "kind": "series", "columns": COLUMNS})


@pytest.fixture(scope="module")
def macro() -> Feed:
    return load_feed("macrodata")


@pytest.fixture(scope="module")
def settings() -> TrainingSettings:
    loaded = load_training_settings("macrodata")
    return loaded.model_copy(update={"check": Check(predict_ms=60_000)})  # whatever else the machine does


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    uri = new_database(tmp_path_factory.mktemp("series"))
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


@pytest.fixture(scope="module")
def found(macro: Feed, settings: TrainingSettings) -> SeriesResult:
    return fit_series(macro, load_series(macro, None, settings.series), settings)


@pytest.fixture(scope="module")
def trained(macro: Feed, registry: Registry, settings: TrainingSettings) -> TrainResult:
    """Version 1, in Production."""
    return train(macro, Source(), registry, settings, promote=True)


def days(rows: int, **columns: Any) -> pd.DataFrame:
    """Rows of `shop`, one a day."""
    rng = np.random.default_rng(1)
    dates = pd.date_range("2024-01-30", periods=rows).strftime("%Y-%m-%d")
    made = {"at": dates, "place": "a", "sold": rng.normal(size=rows), "made": rng.normal(size=rows)}
    return pd.DataFrame(made | columns)


def load(feed: Feed, folder: Path, frame: pd.DataFrame, **settings: Any) -> Any:
    path = folder / "series.csv"
    frame.to_csv(path, index=False)
    return load_series(feed, path, Series(**settings))


def test_rows_are_put_in_order_of_time_and_columns_found_by_name(shop: Feed, tmp_path: Path) -> None:
    frame = days(5)
    data = load(shop, tmp_path, frame.assign(more=1).iloc[[3, 0, 4, 1, 2], ::-1])
    assert data.values.columns.tolist() == ["sold", "made"]
    assert data.values.index.tolist() == pd.to_datetime(frame["at"]).tolist()
    np.testing.assert_allclose(data.values["sold"], frame["sold"])
    assert (str(data.frequency), data.rows) == ("1 days 00:00:00", 5)


def test_parquet_gives_what_csv_gives(shop: Feed, tmp_path: Path) -> None:
    frame = days(6)
    of_csv = load(shop, tmp_path, frame)
    path = tmp_path / "series.parquet"
    frame.assign(at=pd.to_datetime(frame["at"]).dt.date).to_parquet(path)
    pd.testing.assert_frame_equal(load_series(shop, path, Series()).values, of_csv.values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:0], "a header and no rows"),
        (lambda f: f.drop(columns="made"), "lacks columns 'made'"),
        (lambda f: f.assign(made="x"), "does not hold what feed shop declares.*'x'"),
        (lambda f: f.assign(at=["soon", *f["at"][1:]]), "does not hold what feed shop declares.*'soon'"),
        (lambda f: f.assign(sold=[None, *f["sold"][1:]]), "'sold' is null or NaN in 1 of 9 rows, first at 2024-01-30"),
        (
            lambda f: f.assign(sold=[*f["sold"][1:], np.nan]),
            "'sold' is null or NaN in 1 of 9 rows, first at 2024-02-07",
        ),
        (lambda f: f.assign(sold=[*f["sold"][1:], np.inf]), "'sold' is infinite in 1 of 9 rows"),
        (lambda f: f.assign(made=2.5), "'made' is 2.5 in all 9 rows"),
        (lambda f: f.assign(at=[None, *f["at"][1:]]), "'at' is null in 1 of 9 rows, first in data row 1"),
        (lambda f: f.drop(index=[4]), "after 2024-02-02 00:00:00 comes 2024-02-04 00:00:00, wanted 1 days"),
        (lambda f: pd.concat([f, f.iloc[2:4]]), "2024-02-01 00:00:00 is there 2 times, and 2 rows"),
        (lambda f: f.assign(place=list("aabbaabba")), r"holds 2 series, as .*series: \{key: \{'place': 'a'\}\}"),
        (lambda f: f.head(2), "2 rows; a series wants many more"),
    ],
)
def test_a_series_that_will_not_do_is_refused_before_any_fitting(
    shop: Feed, tmp_path: Path, change: Callable[..., Any], message: str
) -> None:
    with pytest.raises(FeedError, match=message) as caught:
        load(shop, tmp_path, change(days(9)))
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused(shop: Feed, tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text("")
    with pytest.raises(FeedError, match=r"series\.csv is empty, wanted a header with at, place, sold, made"):
        load_series(shop, tmp_path / "series.csv", Series())


def test_the_key_of_a_series_is_the_text_that_the_stream_makes_of_it(tmp_path: Path) -> None:
    columns = [{"name": name, "type": "double"} for name in ("x", "y")]
    for type_, text in (("long", "9007199254740993"), ("int", "7"), ("string", "007"), ("date", "2024-01-05")):
        key, time = {"name": "k", "type": type_, "role": "key"}, {"name": "t", "type": "date", "role": "time"}
        feed = Feed.model_validate({"name": "keyed", "kind": "series", "columns": [key, time, *columns]})
        lines = [f"{text},2024-01-{day:02},{day**2},{day % 3}" for day in range(1, 20)]
        (tmp_path / "keyed.csv").write_text("\n".join(["k,t,x,y", *lines]))
        for chosen in ({}, {"k": text}):
            assert load_series(feed, tmp_path / "keyed.csv", Series(key=chosen)).key == {"k": text}


def test_one_series_of_several_is_chosen_by_its_key(shop: Feed, tmp_path: Path) -> None:
    both = pd.concat([days(8), days(8, place="b", sold=np.arange(8.0))])
    of_b = load(shop, tmp_path, both, key={"place": "b"})
    assert (of_b.values["sold"].tolist(), of_b.key) == (list(range(8)), {"place": "b"})
    with pytest.raises(SettingsError, match="no series of 'place' 'c'; it has a, b"):
        load(shop, tmp_path, both, key={"place": "c"})


@pytest.mark.parametrize(
    ("dates", "frequency"),
    [
        (pd.date_range("2020-01-31", periods=9, freq="ME"), "1 month"),
        (pd.date_range("2020-01-15", periods=9, freq="MS") + pd.Timedelta(days=14), "1 month"),
        (pd.date_range("2020-01-01", periods=9, freq="QS"), "3 months"),
        (pd.date_range("1890-01-01", periods=9, freq="YS"), "12 months"),
        (pd.date_range("2020-02-25", periods=9, freq="7D"), "7 days 00:00:00"),
    ],
)
def test_calendar_months_and_fixed_distances_are_regular(
    shop: Feed, tmp_path: Path, dates: Any, frequency: str
) -> None:
    found = load(shop, tmp_path, days(9, at=dates.strftime("%Y-%m-%d"))).frequency
    assert str(found) == frequency and Frequency.parse(found.text) == found


@pytest.mark.parametrize(
    ("dates", "frequency"),
    [
        (pd.bdate_range("2024-01-30", periods=9), "B"),
        (pd.date_range("2024-01-31", periods=9, freq="BME"), "BME"),
        (pd.date_range("2024-01-31", periods=9, freq="BME"), "P1M"),
        (pd.date_range("2020-01-31", periods=9, freq="QE"), "QE"),
        (pd.to_datetime([f"2024-01-{day:02}" for day in (1, 2, 3, 5, 8, 13, 21, 22, 23)]), "any"),
    ],
)
def test_a_frequency_that_the_rows_do_not_show_is_stated(
    shop: Feed, tmp_path: Path, dates: Any, frequency: str
) -> None:
    frame = days(9, at=dates.strftime("%Y-%m-%d"))
    wanted = None if frequency == "any" else Frequency.parse(frequency)
    assert load(shop, tmp_path, frame, frequency=frequency).frequency == wanted
    if frequency in ("B", "BME"):
        with pytest.raises(FeedError, match=rf"write series: \{{frequency: {frequency}\}}"):
            load(shop, tmp_path, frame)
    if wanted:
        with pytest.raises(FeedError, match=r"series\.frequency says \(1 of 7 distances differ\)"):
            load(shop, tmp_path, frame.drop(index=[4]), frequency=frequency)


def test_local_midnights_are_days_of_the_zone_that_the_feed_or_the_settings_name(tmp_path: Path) -> None:
    columns = [{"name": name, "type": "double"} for name in ("x", "y")]
    time = {"name": "t", "type": "timestamp", "role": "time"}
    midnights = pd.date_range("2024-03-28", periods=9, tz="Europe/Berlin")  # clocks are put forward on the 31st
    values = np.random.default_rng(1).normal(size=(9, 2))
    local = pd.DataFrame({"t": midnights.tz_localize(None), "x": values[:, 0], "y": values[:, 1]})
    of_feed = Feed.model_validate(
        {"name": "a", "kind": "series", "columns": [time | {"zone": "Europe/Berlin"}, *columns]}
    )
    found = load(of_feed, tmp_path, local)
    assert found.frequency == Frequency.parse("P1D Europe/Berlin")
    assert found.values.index.tolist() == midnights.tz_convert("UTC").tz_localize(None).tolist()
    in_utc = Feed.model_validate({"name": "b", "kind": "series", "columns": [time, *columns]})
    frame = local.assign(t=midnights.tz_convert("UTC"))
    assert load(in_utc, tmp_path, frame, frequency="P1D Europe/Berlin").frequency == found.frequency
    with pytest.raises(FeedError, match="the time index is irregular"):
        load(in_utc, tmp_path, frame)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_without_a_zone_are_trained_on_as_the_stream_reads_them(tmp_path: Path, zone: str | None) -> None:
    columns = [{"name": name, "type": "double"} for name in ("x", "y")]
    time = {"name": "t", "type": "timestamp", "role": "time"} | ({"zone": zone} if zone else {})
    feed = Feed.model_validate({"name": "hourly", "kind": "series", "columns": [time, *columns]})
    values = np.random.default_rng(1).normal(size=(9, 2))
    hours = pd.date_range("2024-01-01", periods=9, freq="h")
    frame = pd.DataFrame({"t": hours.strftime("%Y-%m-%d %H:%M:%S"), "x": values[:, 0], "y": values[:, 1]})
    of_csv = load(feed, tmp_path, frame)
    path = tmp_path / "series.parquet"
    for times in (frame["t"], hours.as_unit("ns"), hours.as_unit("s"), hours.tz_localize(zone or "UTC")):
        frame.assign(t=times).to_parquet(path)
        pd.testing.assert_frame_equal(load_series(feed, path, Series()).values, of_csv.values, check_freq=False)
    assert of_csv.values.index[0] == hours.tz_localize(zone or "UTC").tz_convert("UTC").tz_localize(None)[0]


@pytest.mark.parametrize("first", ["0001-01-01", "1500-06-30", "9900-12-31"])
def test_times_of_all_years_that_the_stream_takes_are_trained_on(shop: Feed, tmp_path: Path, first: str) -> None:
    dates = (np.datetime64(first) + np.arange(9)).astype(str)
    found = load(shop, tmp_path, days(9, at=dates))
    assert [str(time)[:10] for time in found.values.index] == dates.tolist()
    assert str(found.frequency) == "1 days 00:00:00"


def test_a_missing_quarter_is_named(macro: Feed, tmp_path: Path) -> None:
    lines = macrodata_csv().decode().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join(lines[:40] + lines[41:]))
    with pytest.raises(FeedError, match="after 1968-07-01 00:00:00 comes 1969-01-01 00:00:00, wanted 3 months"):
        load_series(macro, tmp_path / "gap.csv", Series())


def test_without_a_path_macrodata_is_statsmodels_own_and_the_same_as_its_file(
    macro: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    built_in = load_series(macro, None, Series())
    assert (built_in.rows, str(built_in.frequency), built_in.source) == (203, "3 months", "statsmodels macrodata")
    assert built_in.values.iloc[0].tolist() == [2710.349, 1707.4, 286.898]
    path = fetch("macrodata")
    of_file = load_series(macro, None, Series())
    assert (of_file.digest, of_file.source) == (built_in.digest, str(path))


def test_a_feed_of_rows_is_no_series() -> None:
    with pytest.raises(FeedError, match="is of kind 'rows'"):
        load_series(load_feed("wine_quality"), None, Series())


def test_a_random_walk_is_differenced_once_and_noise_never() -> None:
    noise = np.random.default_rng(2).normal(size=(300, 3))
    walks = pd.DataFrame({"noise": noise[:, 0], "walk": noise[:, 1].cumsum(), "twice": noise[:, 2].cumsum().cumsum()})
    assert [test.differences for test in unit_root_tests(walks, Series())] == [0, 1, 2]
    once = unit_root_tests(walks, Series(max_differences=1))
    assert [(test.differences, test.stationary) for test in once] == [(0, True), (1, True), (1, False)]


def test_a_straight_line_is_refused() -> None:
    line = pd.DataFrame({"a": np.random.default_rng(0).normal(size=50).cumsum(), "line": np.arange(50) * 0.1})
    with pytest.raises(FeedError, match="'line' is constant after 1 differences"):
        unit_root_tests(line, Series())


def test_a_column_is_forecast_by_exogenous_ones_and_the_model_says_so(settings: TrainingSettings) -> None:
    raw = load_feed("macrodata").model_dump(mode="json", exclude_unset=True)
    raw["columns"][1]["role"] = "exogenous"
    feed = Feed.model_validate(raw)
    data = load_series(feed, None, Series())
    assert (list(data.values), list(data.exogenous)) == (["realcons", "realinv"], ["realgdp"])
    found = fit_series(feed, data, settings)
    said = metadata_of(found)["streamscore"]
    assert (said["endogenous"], said["exogenous"]) == (["realcons", "realinv"], ["realgdp"])
    assert [(test.column, test.differences) for test in found.stationarity] == [
        ("realcons", 1),
        ("realinv", 1),
        ("realgdp", 1),
    ]
    assert found.forecaster.coefficients.exogenous.shape == (2, 1)
    assert [spec.name for spec in signature_of(found.forecaster).inputs.inputs] == [*data.frame, "date"]
    # the model in Production may be one without
    assert evaluate_forecaster(found.forecaster, data, settings)["rmse"] == pytest.approx(found.metrics["rmse"])
    subset = load_series(load_feed("macrodata"), None, Series(columns=("realcons", "realinv")))
    plain = fit_series(load_feed("macrodata"), subset, settings)
    assert evaluate_forecaster(plain.forecaster, data, settings)["rmse"] == pytest.approx(plain.metrics["rmse"])
    with pytest.raises(SettingsError, match="by realgdp, the data have realcons, realinv; models of other columns"):
        evaluate_forecaster(found.forecaster, subset, settings)


def test_columns_of_very_different_scales_are_fitted_as_statsmodels_fits_them_in_one_scale(
    macro: Feed, settings: TrainingSettings
) -> None:
    data = load_series(macro, None, Series())
    plain = fit_series(macro, data, settings)
    scales = np.array([1e12, 1e-6, 1e-2])  # values up to 1e16 beside some of 1e-3
    scaled = fit_series(macro, replace(data, values=data.values * scales), settings)
    assert [test.differences for test in scaled.stationarity] == [1, 1, 1]
    for ours, other in zip(plain.stationarity, scaled.stationarity, strict=True):
        np.testing.assert_allclose(other.p_values, ours.p_values, rtol=1e-6)
    assert (scaled.order.lags, scaled.fit.title) == (plain.order.lags, plain.fit.title)
    assert scaled.whiteness.p_value == pytest.approx(plain.whiteness.p_value, rel=1e-6)
    window = data.values.to_numpy()[np.newaxis, -4:]
    found = scaled.forecaster.forecast_windows(window * scales, 8) / scales[:, np.newaxis]
    np.testing.assert_allclose(found, plain.forecaster.forecast_windows(window, 8), rtol=1e-8)
    assert scaled.metrics["rmse"] == pytest.approx(plain.metrics["rmse"], rel=1e-3)  # trees draw in float32


def test_a_column_with_one_value_in_the_held_out_rows_does_not_count(macro: Feed, settings: TrainingSettings) -> None:
    data = load_series(macro, None, Series())
    pegged = data.values.copy()
    pegged.iloc[161:, 1] = 9000.0
    found = fit_series(macro, replace(data, values=pegged), settings)
    assert found.backtest.judged == (True, False, True)
    own, naive = found.backtest.of(found.fit.title).column_rmse, found.backtest.of("naive").column_rmse
    assert naive[1] == 0 and own[1] > 0
    assert found.metrics["rmse"] == pytest.approx((own[0] / naive[0] + own[2] / naive[2]) / 2)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert any("'realcons' has one value in the held-out rows" in warning for warning in found.warnings)
    pegged.iloc[161:] = 1.0
    with pytest.raises(FeedError, match="all columns have one value in the 41 held-out rows"):
        fit_series(macro, replace(data, values=pegged), settings)


def test_columns_of_which_one_is_the_sum_of_others_are_refused() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    assert_independent(values, ["a", "b"])
    with pytest.raises(FeedError, match="a, b, c are linearly dependent"):
        assert_independent(np.column_stack([values, values.sum(axis=1)]), ["a", "b", "c"])


def test_fewer_rows_than_the_lags_need_are_refused() -> None:
    with pytest.raises(FeedError, match=r"37 rows to fit 3 .* 8 lags and 2 differences on, wanted at least 38"):
        assert_enough(37, 3, Series())
    assert_enough(38, 3, Series())


@pytest.mark.parametrize("true_lags", [1, 3])
def test_the_lag_order_is_found_and_its_table_is_statsmodels(true_lags: int) -> None:
    from statsmodels.tsa.api import VAR

    rng = np.random.default_rng(7)
    values = rng.normal(size=(500, 2))
    for row in range(3, 500):
        values[row] += 0.6 * values[row - true_lags, ::-1]
    order = choose_lags(values, Series(criterion="bic", max_lags=6))
    assert order.lags == true_lags
    wanted = VAR(values).select_order(6).ics
    for name in ("aic", "bic", "hqic", "fpe"):
        np.testing.assert_allclose(order.table[name], wanted[name][1:], rtol=1e-10)


def test_naive_forecasts_repeat_the_last_row_or_the_last_season() -> None:
    history = np.arange(10.0).reshape(-1, 1)
    assert naive().forecast(history, 3).ravel().tolist() == [9, 9, 9]
    assert seasonal_naive(4).forecast(history, 6).ravel().tolist() == [6, 7, 8, 9, 6, 7]


def test_gradient_boosting_learns_what_lags_tell() -> None:
    values = np.resize([0.0, 1.0, 3.0], 120)
    history = np.column_stack([values.cumsum(), 5 - values])
    found = gradient_boosting(history[:100], (1, 0), 2, seed=0).forecast(history[:100], 5)
    np.testing.assert_allclose(found, history[100:105], atol=0.1)


def test_origins_are_spread_over_the_held_out_rows_and_leave_room_for_all_steps() -> None:
    assert origin_rows(rows=30, fitted_rows=20, steps=4, origins=4) == [20, 22, 24, 26]
    assert origin_rows(rows=30, fitted_rows=20, steps=4, origins=99) == [20, 21, 22, 23, 24, 25, 26]
    with pytest.raises(FeedError, match="3 of 23 rows are held out, fewer than the 4 steps"):
        origin_rows(rows=23, fitted_rows=20, steps=4, origins=5)


def test_a_backtest_gives_no_forecaster_what_lies_ahead_and_measures_in_its_unit() -> None:
    values = pd.DataFrame({"a": np.arange(12.0), "b": 10 * np.arange(12.0)})
    seen = []

    def two_off(history: np.ndarray, steps: int) -> np.ndarray:
        seen.append(len(history))
        return values.to_numpy()[len(history) :][:steps] + 2

    oracle = Contestant("off by 2", two_off)
    found = backtest(values, fitted_rows=6, steps=2, origins=9, contestants=[naive(), oracle])
    assert seen == [6, 7, 8, 9, 10]
    assert found.of("off by 2") == Errors("off by 2", ((2, 2), (2, 2)), ((2, 2), (2, 2)))
    assert found.of("naive").rmse == ((1, 10), (2, 20))
    naive_rmse = np.sqrt(2.5) * np.array([1, 10])
    np.testing.assert_allclose(found.ratios("off by 2"), 2 / naive_rmse)
    metrics = found.metrics("off by 2")
    assert metrics["rmse"] == pytest.approx(np.mean(2 / naive_rmse))
    assert (metrics["baseline_rmse"], metrics["rmse_b"], metrics["mae_b"]) == (1, 2, 2)
    assert found.table().index.tolist() == ["off by 2", "naive"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": Estimator(name="elastic_net")}, "wants var or varmax"),
        ({"estimator": Estimator(name="var", parameters={"q": 1})}, "takes p"),
        ({"estimator": Estimator(name="varmax", parameters={"p": 1.5})}, "p: 1.5"),
        ({"estimator": Estimator(name="varmax", parameters={"p": 0, "q": 0})}, "forecasts nothing"),
        ({"split": {"by": "ratio"}}, "write split: {by: time}"),
        ({"series": {"max_lags": 60}}, "162 rows to fit 3 columns with up to 60 lags"),
        ({"series": {"season": 170}}, "wanted at least 170"),
    ],
)
def test_settings_that_do_not_suit_a_series_are_refused(
    macro: Feed,
    settings: TrainingSettings,
    change: dict[str, Any] | dict[str, dict[str, int]] | dict[str, dict[str, str]],
    message: str,
) -> None:
    changed = TrainingSettings.model_validate(settings.model_dump() | change)
    with pytest.raises(SettingsError, match=message):
        fit_series(macro, load_series(macro, None, Series()), changed)


def test_with_the_registry_down_no_series_is_read(macro: Feed, settings: TrainingSettings, tmp_path: Path) -> None:
    down = open_registry(load_settings(flags={"registry.tracking_uri": "sqlite:////no/such/folder/x.db"}))
    with pytest.raises(RegistryError):
        train(macro, Source(tmp_path / "not even there.csv"), down, settings)


def test_macrodata_is_forecast_better_than_by_any_other(found: SeriesResult) -> None:
    result = found
    assert (result.fit.title, result.fitted_rows, result.warnings) == ("VAR(3)", 162, ())
    assert [test.differences for test in result.stationarity] == [1, 1, 1]
    assert result.backtest.table().index[0] == "VAR(3)"
    assert result.metrics["rmse"] == pytest.approx(0.5858, abs=0.002)
    assert result.metrics["rmse_realgdp"] < 0.6 * result.metrics["baseline_rmse_realgdp"]


def test_a_forecaster_is_judged_on_the_rows_on_which_it_was_trained_to_be(
    found: SeriesResult, settings: TrainingSettings
) -> None:
    again = evaluate_forecaster(found.forecaster, found.data, settings)
    assert again == {name: found.metrics[name] for name in again}


def test_a_run_of_a_series_says_what_it_was_made_of(trained: TrainResult, registry: Registry) -> None:
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    run: Any = client.get_run(trained.run_id)
    assert run.data.metrics == pytest.approx(trained.metrics)
    assert {key: run.data.params[key] for key in ("estimator", "p", "q", "frequency", "differences")} == {
        "estimator": "var",
        "p": "3",
        "q": "0",
        "frequency": "3 months",
        "differences": "realgdp 1, realcons 1, realinv 1",
    }
    assert {len(json.loads(made.dataset.schema)["mlflow_colspec"]) for made in run.inputs.dataset_inputs} == {4}
    assert run.data.tags["streamscore.data_digest"] == trained.origin.data_digest
    with registry.active() as active:
        fetch = active.artifacts.load_text
        report = json.loads(fetch(f"{run.info.artifact_uri}/series_report.json"))
        page = fetch(f"{run.info.artifact_uri}/report.html")
        plots = [fetch(f"{run.info.artifact_uri}/{name}.svg") for name in ("forecast", "errors_by_step")]
    order = report["order"]
    assert (report["whiteness"]["lags"], order["lags"], len(order["table"]["fpe"])) == (10, 3, 8)
    assert "gradient boosting" in page and "passed the gate" in page
    assert report["backtest"]["to_naive"]["naive"] == [1, 1, 1]
    assert all("<svg" in plot for plot in plots)


@pytest.fixture(scope="module")
def in_production(
    trained: TrainResult, registry: Registry, macro: Feed, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The promoted version, downloaded as the stream does it."""
    ref = registry.resolve(macro.model_uri)
    assert (ref.tags["streamscore.gate"], ref.tags["streamscore.feed"]) == ("passed", "macrodata")
    return registry.download(ref, tmp_path_factory.mktemp("models"))


def test_nothing_in_the_registered_model_is_a_pickle(in_production: Path) -> None:
    assert_folder_loadable(in_production, "macrodata v1", Models())
    with np.load(next(in_production.rglob("*.npz")), allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays.files} == {
            **dict.fromkeys(("intercept", "ar", "ma", "covariance", "exogenous"), "f"),
            **dict.fromkeys(("differences", "exogenous_differences"), "i"),
        }


def test_the_registered_model_forecasts_the_steps_it_is_asked_for(in_production: Path, found: SeriesResult) -> None:
    import mlflow.pyfunc
    from statsmodels.tsa.api import VAR

    loaded = mlflow.pyfunc.load_model(str(in_production))
    meta = loaded.metadata.metadata["streamscore"]
    assert meta == {
        "kind": "series",
        "window_rows": 4,
        "endogenous": ["realgdp", "realcons", "realinv"],
        "steps": 4,
        "key": {},
        "frequency": "P3M",
        "coverage": 0.95,
    }
    window = pd.read_csv(io.BytesIO(macrodata_csv()), parse_dates=["date"]).tail(4)
    frame = loaded.predict(window, params={"steps": 7})
    assert frame["step"].tolist() == list(range(1, 8))
    values = found.data.values.to_numpy()
    fitted = VAR(difference(values[:162], (1, 1, 1))).fit(3)
    wanted = values[-1] + fitted.forecast(np.diff(values, axis=0)[-3:], 7).cumsum(axis=0)
    np.testing.assert_allclose(frame[meta["endogenous"]], wanted, rtol=1e-8)
    default = loaded.predict(window.drop(columns="date"))
    pd.testing.assert_frame_equal(default, frame.head(4))
    python_model = loaded.unwrap_python_model()
    assert (python_model.window_rows, python_model.endogenous) == (4, meta["endogenous"])
    for bad, message in [(window.tail(3), "4 rows or more"), (window[::-1], "'date' does not increase")]:
        with pytest.raises(ValueError, match=message):
            loaded.predict(bad)


def test_a_candidate_that_the_stream_would_forecast_with_differently_is_refused(
    trained: TrainResult,
    registry: Registry,
    macro: Feed,
    settings: TrainingSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from training.series import log_forecaster

    code = log_forecaster.MODEL_FILE.read_text()
    changed = tmp_path / "forecast_model.py"
    changed.write_text(
        code.replace(
            "return self.forecaster.forecast_windows(windows,", "return 1 + self.forecaster.forecast_windows(windows,"
        )
    )
    assert changed.read_text() != code
    monkeypatch.setattr(log_forecaster, "MODEL_FILE", changed)
    other = settings.model_copy(
        update={"estimator": Estimator(name="var", parameters={"p": 2}), "gate": Gate(relative=None)}
    )
    refused = train(macro, Source(), registry, other, promote=True)
    assert refused.reasons[0].startswith("for step 1 after its example the model forecasts [")
    assert refused.promotion is None
    tags = registry.resolve(f"models:/macrodata/{refused.version}").tags
    assert (tags["streamscore.gate"], tags["streamscore.check"]) == ("passed", "failed")
    assert registry.resolve("models:/macrodata@candidate").version == trained.version
    assert registry.in_production("macrodata") == trained.version


def test_training_again_makes_the_same_model(found: SeriesResult, macro: Feed, settings: TrainingSettings) -> None:
    again = fit_series(macro, found.data, settings)
    assert again.metrics == found.metrics
    assert again.plots == found.plots
    assert isinstance(again.backtest, Backtest)
    assert again.backtest == found.backtest
