"""Forecasts of a request: statsmodels' numbers, the stream's numbers, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from statsmodels.tsa.api import VAR

from jobs.serving.models.served_series import Asked, Windows, forecast_ahead
from jobs.serving.models.steps_ahead import exog_inputs
from jobs.serving.requests.body import Body
from jobs.serving.requests.contract import Inputs, series_inputs_of
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.series_request import read_series_request
from jobs.serving.requests.tabular import decode, of_records
from jobs.serving.requests.values import typed
from schemas.errors import ContractError
from schemas.feed import Feed, load_feed
from schemas.signature import series_contract
from schemas.tables import forecast_type
from streamscore.forecasting.forecast import forecast
from streamscore.forecasting.history import History, Window
from streamscore.models.series_model import SeriesModel
from streamscore.registry.model_version import ModelVersion
from tests.support import series_kit, var_kit
from tests.support.series_kit import feed_of
from tests.support.var_kit import NAMES, in_memory, macrodata, records_of, wanted
from training.series.fit import fit_var
from training.series.forecast_model import Coefficients, Forecaster
from training.series.log_forecaster import signature_of

EXACT: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-8}


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return records_of(macrodata())


def ahead(records: list[dict[str, Any]], steps: int = 4, feed: Feed | None = None, **more: Any) -> Any:
    model, inputs = in_memory(feed)
    (found,) = forecast_ahead(Asked(of_records(records, inputs), steps, **more), model, inputs)
    return found


@pytest.mark.parametrize("whole", [False, True])
def test_a_series_in_the_body_gets_the_numbers_of_statsmodels(records: list[dict[str, Any]], whole: bool) -> None:
    found = ahead(records, 12, whole=whole)
    levels = macrodata()[NAMES].to_numpy()
    np.testing.assert_allclose(found.values, wanted(levels, 12), **EXACT)
    assert (str(found.after), [str(time) for time in found.times[:3]]) == (
        "2009-07-01",
        ["2009-10-01", "2010-01-01", "2010-04-01"],
    )
    assert found.observations == (203 if whole else 4)


def test_a_series_in_the_body_gets_the_numbers_of_the_stream(records: list[dict[str, Any]]) -> None:
    feed = load_feed("macrodata")
    model, inputs = in_memory()
    rows, _ = typed([of_records(records, inputs)], inputs, frozenset())
    now = rows.with_table(
        rows.table.set_column(rows.table.schema.get_field_index("landed_at"), "landed_at", [[2**50] * len(records)])
    )
    feed_now = feed.model_copy(update={"series": feed.series.model_copy(update={"ahead_seconds": None})})
    streamed = forecast(now, feed_now, model, History(model.window_rows, {})).scored.predictions
    names = [field.name for field in model.output]
    last = streamed.slice(streamed.num_rows - 4).select(names).to_pandas().to_numpy()
    np.testing.assert_array_equal(ahead(records).values.reshape(4, -1), last)


def by_realgdp() -> tuple[SeriesModel, Inputs, Feed, np.ndarray]:
    """A VAR of two columns of macrodata by a third one, for a feed with a fourth; the changes of the three."""
    raw = load_feed("macrodata").model_dump(mode="json", exclude_unset=True)
    raw["columns"][1]["role"] = "exogenous"  # realgdp, before the features
    raw["columns"].append({"name": "pop", "type": "double"})
    raw["series"] |= {"ahead_seconds": None}
    feed = Feed.model_validate(raw)
    levels = macrodata()[["realcons", "realinv", "realgdp"]].to_numpy()
    changes = np.diff(levels, axis=0)
    fit = fit_var(changes[:, :2], 2, changes[:, 2:])
    made = Coefficients(fit.intercept, fit.ar, fit.ma, fit.covariance, np.array([1, 1]), fit.exogenous, np.array([1]))
    forecaster = Forecaster(made, ["realcons", "realinv"], "date", 4, 0.95, ["realgdp"])
    said = {"kind": "series", "window_rows": 3, "endogenous": ["realcons", "realinv"], "exogenous": ["realgdp"]}
    contract = series_contract(feed, {"streamscore": said | {"frequency": "P3M"}}, "macrodata v1")
    output, window_columns = forecast_type(feed), np.array([0, 1])
    model = SeriesModel(
        ModelVersion("macrodata", "1", "r"),
        "",
        contract,
        output,
        forecaster.forecast_windows,
        window_columns,
        _regressors=np.array([3]),
    )
    inputs = series_inputs_of({"metadata": {"streamscore": said}}, None, "macrodata v1", feed)
    return model, inputs, feed, changes


def test_exogenous_columns_and_a_feature_that_is_not_forecast_get_the_numbers_of_the_stream(
    records: list[dict[str, Any]],
) -> None:
    model, inputs, feed, changes = by_realgdp()
    last_of_all = macrodata()[["realcons", "realinv"]].to_numpy()[-1]
    given = [record | {"pop": 1.0} for record in records]
    (found,) = forecast_ahead(Asked(of_records(given, inputs), 4), model, inputs)
    (other,) = forecast_ahead(Asked(of_records(records, inputs), 4), model, inputs)  # pop is not needed
    np.testing.assert_array_equal(found.values, other.values)
    ahead_of = VAR(changes[:, :2], exog=changes[:, 2:]).fit(2).forecast(changes[-2:, :2], 4, np.zeros((4, 1)))
    np.testing.assert_allclose(found.values[:, :2, 0], last_of_all + ahead_of.cumsum(axis=0), **EXACT)
    assert np.isnan(found.values[:, 2]).all()
    rows, _ = typed([of_records(given, inputs)], inputs, frozenset())
    at = rows.table.schema.get_field_index("landed_at")
    rows = rows.with_table(rows.table.set_column(at, "landed_at", [[2**50] * len(given)]))
    streamed = forecast(rows, feed, model, History(3, {})).scored.predictions
    last = streamed.slice(streamed.num_rows - 4)
    np.testing.assert_array_equal(
        found.values.reshape(4, -1),
        last.select([field.name for field in forecast_type(feed)]).to_pandas().to_numpy(np.float64),
    )
    assert last["forecast_time"].to_pylist() == found.times
    assert last["pop_forecast"].null_count == 4 and "realgdp_forecast" not in last.column_names
    assert last["failure"].null_count == 4


FUTURE = [13050.0, 13120.5, 13100.25, 13333.0]
DATES = ["2009-10-01", "2010-01-01", "2010-04-01", "2010-07-01"]


@pytest.mark.parametrize("has_times", [False, True])
def test_exogenous_columns_of_the_steps_give_the_numbers_of_statsmodels(
    records: list[dict[str, Any]], has_times: bool
) -> None:
    model, inputs, _, changes = by_realgdp()
    exog = [
        {"realgdp": value} | ({"date": date} if has_times else {}) for value, date in zip(FUTURE, DATES, strict=True)
    ]
    body = orjson.dumps({"steps": 4, "dataframe_records": records, "exog": exog})
    read = read_series_request(Body(body, "application/json"), {}, inputs)
    assert read.observations is not None
    asked = Asked(read.observations, read.steps, exog=read.exog)
    (found,) = forecast_ahead(asked, model, inputs)
    levels = macrodata()[["realcons", "realinv", "realgdp"]].to_numpy()
    future = np.diff([levels[-1, 2], *FUTURE])[:, np.newaxis]
    wanted = VAR(changes[:, :2], exog=changes[:, 2:]).fit(2).forecast(changes[-2:, :2], 4, future)
    np.testing.assert_allclose(found.values[:, :2, 0], levels[-1, :2] + wanted.cumsum(axis=0), **EXACT)
    frame = macrodata().tail(3)
    times = frame["date"].to_numpy("datetime64[D]").astype(np.int64)
    window = Window(times, np.column_stack([frame[["realcons", "realinv"]], np.zeros(3), frame["realgdp"]]))
    of_table = Asked(Windows(inputs.feed, {(): window}), 4, exog=asked.exog)
    np.testing.assert_array_equal(forecast_ahead(of_table, model, inputs)[0].values, found.values)


@pytest.mark.parametrize(
    ("third", "said"),
    [
        ({"realgdp": None, "date": DATES[2]}, "row 2, column 'realgdp': null_not_allowed: in exog: "),
        ({"realgdp": "1", "date": DATES[2]}, "row 2, column 'realgdp': bad_type: in exog: "),
        ({"realgdp": -1, "date": DATES[2]}, "row 2, column 'realgdp': out_of_range: in exog: "),
        (
            {"realgdp": 1, "date": "2010-05-01"},
            "row 2, column 'date': gap: in exog: found 2010-05-01, wanted 2010-04-01",
        ),
        ({"realgdp": 1}, "exog has a row without date"),
        ({"date": DATES[2]}, "row 2, column 'realgdp': missing_column"),
        ({"realgdp": 1, "pop": 2}, "row 2, column 'pop': extra_column"),
        (None, "exog has 3 rows, wanted 4, one for each step"),
    ],
)
def test_exogenous_columns_that_are_not_those_of_the_steps_are_refused(
    records: list[dict[str, Any]], third: dict[str, Any] | None, said: str
) -> None:
    model, inputs, _, _ = by_realgdp()
    exog: list[dict[str, Any]] = [{"realgdp": value, "date": date} for value, date in zip(FUTURE, DATES, strict=True)]
    exog[2:3] = [] if third is None else [third]

    def forecast_by(exog: list[dict[str, Any]]) -> None:
        asked = Asked(of_records(records, inputs), 4, exog=of_records(exog, exog_inputs(inputs)))
        forecast_ahead(asked, model, inputs)

    with pytest.raises(RequestError, match=said) as caught:
        forecast_by(exog)
    assert caught.value.status == 400


def test_the_same_series_as_csv_gets_the_same_numbers(records: list[dict[str, Any]]) -> None:
    model, inputs = in_memory()
    body = Body(macrodata().to_csv(index=False).encode(), "text/csv")
    (found,) = forecast_ahead(Asked(decode(body, inputs, frozenset()), 4), model, inputs)
    np.testing.assert_allclose(found.values, ahead(records).values, rtol=1e-12)


def test_a_window_of_a_table_gets_the_same_numbers(records: list[dict[str, Any]]) -> None:
    model, inputs = in_memory()
    frame = macrodata().tail(4)
    times = frame["date"].to_numpy("datetime64[D]").astype(np.int64)
    windows = Windows(inputs.feed, {(): Window(times, frame[NAMES].to_numpy())})
    (found,) = forecast_ahead(Asked(windows, 4), model, inputs)
    np.testing.assert_array_equal(found.values, ahead(records).values)


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        ({"realgdp": "1"}, (201, "realgdp", "bad_type")),
        ({"realgdp": None}, (201, "realgdp", "null_not_allowed")),
        ({"realgdp": -1}, (201, "realgdp", "out_of_range")),
        ({"realgdp": True}, (201, "realgdp", "bad_type")),
        ({"date": "2009-02-30"}, (201, "date", "bad_type")),
        ({"date": 5}, (201, "date", "bad_type")),
        ({"date": "1958-01-01"}, (201, "date", "late")),
        ({"date": "2008-10-01"}, (201, "date", "duplicate_time")),
        ({"date": "9000-01-01"}, (201, "date", "out_of_range")),
        ({"date": "2009-05-01"}, (202, "date", "gap")),
    ],
)
def test_an_observation_that_the_stream_would_not_take_is_refused(
    records: list[dict[str, Any]], change: dict[str, Any], blamed: tuple[int, str, str]
) -> None:
    with pytest.raises(RequestError) as caught:
        ahead([*records[:201], records[201] | change, records[202]])
    first = caught.value.errors[0]
    assert (caught.value.status, (first.row, first.column, first.reason)) == (400, blamed)


@pytest.mark.parametrize(
    ("rows", "steps", "said"),
    [([], 4, "no observation"), ([0, 1, 2], 4, "found 3 observations, wanted at least 4")],
)
def test_too_few_observations_are_refused(
    records: list[dict[str, Any]], rows: list[int], steps: int, said: str
) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        ahead([records[at] for at in rows], steps)
    assert caught.value.status == 400


def test_a_column_that_is_missing_is_refused(records: list[dict[str, Any]]) -> None:
    with pytest.raises(RequestError, match="column 'date': missing_column"):
        ahead([{name: row[name] for name in NAMES} for row in records])


def test_a_model_that_fails_is_told_as_its_own_fault(records: list[dict[str, Any]]) -> None:
    model, inputs = in_memory()

    def fail(*_: Any) -> None:
        msg = "no"
        raise ValueError(msg)

    object.__setattr__(model, "_forecast", fail)
    with pytest.raises(RequestError, match="model_error: ValueError: no") as caught:
        forecast_ahead(Asked(of_records(records, inputs), 4), model, inputs)
    assert caught.value.status == 422
    object.__setattr__(model, "_forecast", lambda w, steps: np.full((len(w), steps, 3, 3), np.inf))
    with pytest.raises(RequestError, match="bad_prediction"):
        forecast_ahead(Asked(of_records(records, inputs), 4), model, inputs)


def test_steps_beyond_the_calendar_have_no_time_as_in_the_stream(records: list[dict[str, Any]]) -> None:
    feed = load_feed("macrodata")
    rules = feed.series.model_copy(update={"ahead_seconds": None, "gap": "forecast"})
    feed = feed.model_copy(update={"series": rules})
    late = [row | {"date": f"{9700 + at}-01-01"} for at, row in enumerate(records)]
    times = ahead(late, 400, feed).times
    assert (str(times[390]), times[391:]) == ("9999-10-01", [None] * 9)


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> SeriesModel:
    return series_kit.load(series_kit.save_model(tmp_path_factory.mktemp("model")), feed_of())


def test_each_series_of_a_request_is_forecast_from_its_own_window(sensors: SeriesModel) -> None:
    inputs = series_inputs_of({}, None, "sensors v1", feed_of())
    rows = [
        {"sensor": sensor, "at": f"2026-01-01T00:0{minute}:00Z", "temp": minute + add, "load": add}
        for minute in range(4)
        for sensor, add in (("a", 0.0), ("b", 10.0))
    ]
    found = {one.key["sensor"]: one for one in forecast_ahead(Asked(of_records(rows, inputs), 2), sensors, inputs)}
    for sensor, add in (("a", 0.0), ("b", 10.0)):
        level = sum(weight * (minute + add) for weight, minute in ((1, 1), (2, 2), (3, 3)))
        assert found[sensor].values[:, 0, 0].tolist() == [level + 1, level + 2]
        assert (found[sensor].observations, found[sensor].times) == (3, [None] * 2)
    whole = forecast_ahead(Asked(of_records(rows, inputs), 1, whole=True), sensors, inputs)
    assert [one.observations for one in whole] == [4, 4]


def test_a_series_that_the_model_was_not_trained_on_is_refused(sensors: SeriesModel) -> None:
    inputs = series_inputs_of({}, None, "sensors v1", feed_of())
    of_a = replace(sensors, contract=replace(sensors.contract, key=("a",)))
    row = {"temp": 1.0, "load": 1.0}
    rows = [
        {sensor: row | {"sensor": sensor, "at": f"2026-01-01T00:0{minute}:00Z"} for sensor in "ab"}
        for minute in range(3)
    ]
    assert forecast_ahead(Asked(of_records([row["a"] for row in rows], inputs), 1), of_a, inputs)
    with pytest.raises(RequestError) as caught:
        forecast_ahead(Asked(of_records([row["b"] for row in rows], inputs), 1), of_a, inputs)
    assert [(e.row, e.column, e.reason) for e in caught.value.errors] == [(2, "sensor", "untrained")]


def test_a_moving_average_with_the_whole_history_gets_the_numbers_of_statsmodels() -> None:
    from statsmodels.tsa.api import VARMAX

    made = Coefficients(
        np.array([0.4, 0.5, 0.6]), np.zeros((0, 3, 3)), -np.eye(3)[np.newaxis] / 5, np.eye(3), np.zeros(3, int)
    )
    average = Forecaster(made, NAMES, "date", 4, 0.95)
    growth = macrodata()
    growth[NAMES] = 100 * np.log(growth[NAMES]).diff()
    growth = growth.iloc[1:]
    parameters = [made.intercept, made.ma.ravel(), np.eye(3)[np.tril_indices(3)]]
    fitted = VARMAX(growth[NAMES].to_numpy(), order=(0, 1), trend="c").smooth(np.concatenate(parameters))
    feed = load_feed("macrodata")
    feed = feed.model_copy(update={"columns": tuple(c.model_copy(update={"min": None}) for c in feed.columns)})
    model, inputs = in_memory(feed)
    contract = replace(model.contract, window_rows=average.window_rows)
    model = replace(model, contract=contract, _forecast=average.forecast_windows)
    observations = of_records(records_of(growth), inputs)
    (found,) = forecast_ahead(Asked(observations, 9, whole=True), model, inputs)
    np.testing.assert_allclose(found.values[..., 0], fitted.get_forecast(9).predicted_mean, **EXACT)
    (short,) = forecast_ahead(Asked(observations, 9), model, inputs)
    assert (found.observations, short.observations) == (202, average.window_rows)


def test_a_model_without_a_feed_is_held_against_what_training_wrote(records: list[dict[str, Any]]) -> None:
    model, _ = in_memory()
    said = var_kit.metadata()
    inputs = series_inputs_of({"metadata": said}, signature_of(var_kit.forecaster()), "other v1", None)
    assert inputs.names == ("date", *NAMES)
    assert series_contract(inputs.feed, said, "other v1") == model.contract
    (found,) = forecast_ahead(Asked(of_records(records, inputs), 4), model, inputs)
    np.testing.assert_array_equal(found.values, ahead(records).values)
    assert found.times and found.times[0] == pd.Timestamp("2009-10-01", tz="UTC")
    with pytest.raises(ContractError, match="no feed has it as its model"):
        series_inputs_of({"metadata": said}, None, "other v1", None)
