"""What was noted of requests, as rows of the table."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from jobs.serving.models.served_model import Answer, Read
from jobs.serving.request_log.record import Record
from jobs.serving.request_log.rows import log_rows
from jobs.serving.requests.body import Body
from jobs.serving.requests.problems import RowError
from jobs.serving.requests.tabular import decode
from jobs.serving.requests.values import Values
from schemas.feed import Feed
from schemas.tables import requests_schema
from tests.support.request_kit import FEED, INPUTS, SCORED


def record(given: Values | Read | None, predictions: list[float], **more: Any) -> Record:
    answer = Answer(pa.array(predictions, pa.float64()), more.pop("rows", None), more.get("errors", ()))
    number = more.setdefault("number", 1)
    made: dict[str, Any] = {"identity": f"id{number}", "route": "/models/{name}/predict", "status": 200} | more
    return Record(scored=replace(SCORED, given=given, answer=answer if given else None), **made)


def rows_of(*records: Record, leave_out: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    found = [row for of in log_rows(records, "app", leave_out) for row in of.rows.to_pylist()]
    return sorted(found, key=lambda row: (row["request_number"], row["request_row"] or 0))


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_rows_have_the_columns_of_the_feed_and_their_predictions() -> None:
    first = record(Values({"fixed Acid": [1.5, 2], "raw": [7, None]}, 2), [0.25, 0.5])
    second = record(Values({"raw": [9], "fixed Acid": [3]}, 1), [0.75], number=2)
    (of,) = log_rows([first, second], "app")
    assert (of.feed, of.requests, of.rows.schema) == ("tiny", 2, requests_schema(FEED, pa.float64()))
    rows = rows_of(first, second)
    assert shown(rows, "fixed_acid", "raw_", "prediction", "request_number", "request_row", "request_id") == [
        (1.5, 7, 0.25, 1, 0, "id1"),
        (2.0, None, 0.5, 1, 1, "id1"),
        (3.0, 9, 0.75, 2, 0, "id2"),
    ]
    assert {(row["model_name"], row["model_version"], row["model_run_id"]) for row in rows} == {("m", "3", "run")}


def test_a_row_that_its_columns_cannot_hold_is_kept_as_json() -> None:
    errors = (RowError(1, "raw", "bad_type", "found 'x', wanted long"),)
    given = Values({"fixed Acid": [1.5, 2.5], "raw": [7, "x"]}, 2)
    partly = record(given, [0.25], rows=[0], errors=errors)
    refused = record(given, [0.25], rows=[0], errors=errors, number=2, status=400, detail="row 1: …")
    assert shown(rows_of(partly, refused), "fixed_acid", "prediction", "reason", "column", "detail", "raw") == [
        (1.5, 0.25, None, None, None, None),
        (None, None, "bad_type", "raw", "found 'x', wanted long", '{"fixed Acid":2.5,"raw":"x"}'),
        (1.5, None, None, None, "row 1: …", None),
        (None, None, "bad_type", "raw", "found 'x', wanted long", '{"fixed Acid":2.5,"raw":"x"}'),
    ]


def test_a_csv_is_logged_by_its_lines() -> None:
    read = decode(Body(b"raw,fixed Acid\n1,2.5\nx,3\n4,5\n", "text/csv"), INPUTS, frozenset())
    errors = (RowError(3, "raw", "bad_type", "found 'x', wanted long"),)
    rows = rows_of(record(read, [0.1, 0.2], rows=[2, 4], errors=errors))
    assert shown(rows, "request_row", "raw_", "prediction", "reason", "raw") == [
        (2, 1, 0.1, None, None),
        (3, None, None, "bad_type", "x,3"),
        (4, 4, 0.2, None, None),
    ]
    assert shown(rows_of(record(read, [], rows=[], errors=errors)), "prediction") == [(None,)] * 3


def test_a_request_that_was_not_understood_is_one_row() -> None:
    known = record(None, [], status=400, detail="no JSON", body=b'{"x": \xff')
    nobodys = Record(2, "id2", "/models/{name}/predict", 404, detail="no model 'y'")
    first, second = log_rows([known, nobodys], "app")
    assert (first.feed, second.feed) == ("tiny", "serving")
    rows = rows_of(known, nobodys)
    assert shown(rows, "request_row", "request_status", "detail", "model_version", "raw") == [
        (None, 400, "no JSON", "3", '{"x": \\xff'),
        (None, 404, "no model 'y'", None, None),
    ]
    empty = record(Values({}, 0), [], number=3)
    assert shown(rows_of(empty), "request_row", "request_status") == [(None, 200)]


def test_what_is_to_be_left_out_is_nowhere() -> None:
    errors = (RowError(0, "raw", "bad_type", "found 'secret', wanted long"),)
    refused = {"status": 400, "errors": errors, "detail": "row 0, column 'raw': bad_type: found 'secret', wanted long"}
    read = decode(Body(b"raw,fixed Acid\nsecret,2.5\n", "text/csv"), INPUTS, frozenset())
    kept = decode(Body(b"raw,fixed Acid\n41,2.5\n", "text/csv"), INPUTS, frozenset())
    rows = rows_of(
        record(Values({"fixed Acid": [1], "raw": ["secret"]}, 1), [], rows=[], **refused),
        record(read, [], rows=[], number=2, **refused),
        record(None, [], number=3, body=b"raw,raw\nsecret,1", **refused),
        record(kept, [0.5], number=4),
        record(Values({"fixed Acid": [1], "raw": [41]}, 1), [0.5], number=5),
        leave_out=("raw",),
    )
    assert "secret" not in str(rows)
    assert shown(rows, "raw_", "raw", "prediction", "fixed_acid")[3:] == [(None, None, 0.5, 2.5), (None, None, 0.5, 1)]
    assert rows[0]["raw"] == '{"fixed Acid":1}'


@pytest.mark.parametrize("leave_out", [(), ("raw",)])
def test_a_model_without_a_feed_has_its_rows_as_json(leave_out: tuple[str, ...]) -> None:
    of_signature = replace(INPUTS, feed=Feed.model_construct(name="", columns=FEED.columns))
    answer = Answer(pa.array([[1.0, 2.0]], pa.list_(pa.float64())))
    given = Values({"fixed Acid": [1.5], "raw": [2**70]}, 1)
    scored = replace(SCORED, inputs=of_signature, output=answer.predictions.type, given=given, answer=answer)
    (of,) = log_rows([Record(1, "id", "r", 200, scored=scored)], "app", leave_out)
    (row,) = of.rows.to_pylist()
    assert (of.feed, row["prediction"]) == ("serving", "[1.0,2.0]")
    assert ('"fixed Acid"' in row["raw"], str(2**70) in row["raw"]) == (True, not leave_out)


def test_a_shadows_rows_are_of_no_request_of_their_own() -> None:
    given = Values({"fixed Acid": [1.5], "raw": [1]}, 1)
    (of,) = log_rows([record(given, [0.5]), record(given, [0.75], trial="shadow")], "app")
    assert of.requests == 1
    assert shown(of.rows.to_pylist(), "trial", "prediction") == [(None, 0.5), ("shadow", 0.75)]
