"""What a request for forecasts says."""

import json
from typing import Any

import pytest

from jobs.serving.requests.body import Body
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.series_request import read_series_request
from jobs.serving.requests.values import Values
from tests.support.var_kit import in_memory, macrodata, records_of

ROWS = records_of(macrodata().tail(4))


def read(value: Any, **query: str) -> Any:
    body = Body(b"", "") if value is None else Body(json.dumps(value).encode(), "application/json")
    return read_series_request(body, query, in_memory()[1])


def test_an_empty_body_asks_for_the_feeds_steps_after_what_the_version_has() -> None:
    found = read(None)
    assert (found.steps, found.observations, found.feed, found.key, found.whole) == (4, None, "", None, False)


def test_options_stand_in_the_body_or_in_the_query() -> None:
    for found in (
        read({"steps": 2, "history": "all", "dataframe_records": ROWS}),
        read({"dataframe_records": ROWS}, steps="2", history="all"),
    ):
        assert isinstance(found.observations, Values)
        assert (found.steps, found.whole, found.observations.count) == (2, True, 4)
    found = read({"key": {"sensor": "a"}}, feed="sensors")
    assert (found.feed, found.key, found.observations) == ("sensors", {"sensor": "a"}, None)


@pytest.mark.parametrize(
    ("value", "query", "said"),
    [
        ({"steps": 0}, {}, "steps is 0"),
        ({"steps": 1.0}, {}, "steps is 1.0"),
        ({"steps": True}, {}, "steps is True"),
        ({"steps": "2"}, {}, "steps is '2'"),
        ({"steps": None}, {}, "steps is None"),
        ({"steps": 10_001}, {}, "1 to 10,000"),
        (None, {"steps": "-1"}, "steps is"),
        (None, {"steps": "²"}, "steps is"),
        ({"steps": 2}, {"steps": "2"}, "in the query and in the body"),
        ({"step": 2}, {}, "found 'step', wanted steps"),
        (None, {"stepz": "2"}, "found 'stepz'"),
        (None, {"key": "a"}, "found 'key'"),
        (None, {"exog": "a"}, "found 'exog'"),
        ({"exog": [{"realgdp": 1}]}, {}, "found exog, and this model forecasts by no exogenous columns"),
        ({"history": "some"}, {}, "history is 'some'"),
        ({"history": ["all"]}, {}, "history is"),
        ({"history": "all"}, {"feed": "macrodata"}, "history: all"),
        ({"dataframe_records": ROWS}, {"feed": "macrodata"}, "observations and a feed"),
        ({"feed": 5}, {}, "feed is 5"),
        (None, {"feed": ""}, "feed is ''"),
        ({"key": {"a": 1}}, {}, "key names one series"),
        ({"key": "a"}, {"feed": "macrodata"}, "key names one series"),
        ({"dataframe_records": [], "inputs": []}, {}, "wanted one of"),
        ([], {}, "a list"),
        ({"dataframe_records": [{"dat": 1}]}, {}, "did you mean 'date'"),
    ],
)
def test_what_is_not_understood_is_refused(value: Any, query: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(value, **query)
    assert caught.value.status == 400
    assert said in caught.value.detail
