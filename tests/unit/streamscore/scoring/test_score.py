"""Files in, predictions and rejects out: every data row in exactly one of the two."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.feed import Feed
from schemas.tables import REJECTS_SCHEMA
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.options import ReadOptions
from streamscore.scoring.score import score

SUM = "return (model_input['a'] + 10 * model_input['b']).to_numpy()"


@dataclass
class Tables:
    predictions: pa.Table
    rejects: pa.Table


@pytest.fixture
def score_text(tmp_path: Path, small_feed: Feed, model_of: Callable[..., Model]) -> Callable[..., Tables]:
    landing = tmp_path / "landing"
    landing.mkdir()

    def run(text: str, body: str = SUM, output: object = np.array([1.0]), chunk_rows: int = 1000) -> Tables:
        path = landing / f"f{len(list(landing.iterdir()))}.csv"
        path.write_text(text)
        status = path.stat()
        files = [LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)]
        model = model_of(body, output)
        scored = list(score(files, small_feed, model, ReadOptions(landing.as_uri(), chunk_rows)))
        if not scored:  # no data row
            return Tables(pa.table({"source_line": []}), REJECTS_SCHEMA.empty_table())
        return Tables(pa.concat_tables(s.predictions for s in scored), pa.concat_tables(s.rejects for s in scored))

    return run


def test_a_file_with_swapped_columns_is_read_by_name(score_text: Callable[..., Tables]) -> None:
    scored = score_text("b,a,id\n2,1,x\n")
    assert scored.predictions["prediction"].to_pylist() == [1 + 10 * 2]


@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_a_model_that_raises_on_some_rows_costs_only_those(score_text: Callable[..., Tables], chunk_rows: int) -> None:
    body = "if (model_input['a'] == 3).any(): raise ValueError('three')\n" + SUM
    scored = score_text("a,b,id\n" + "".join(f"{i},0,x\n" for i in range(1, 8)), body, chunk_rows=chunk_rows)
    assert scored.predictions["prediction"].to_pylist() == [1, 2, 4, 5, 6, 7]
    (reject,) = scored.rejects.to_pylist()
    assert (reject["reason"], reject["source_line"], reject["raw"]) == ("model_error", 4, "3,0,x")
    assert reject["detail"] == "ValueError: three"


def test_nan_null_and_missing_outputs_are_bad_predictions(score_text: Callable[..., Tables]) -> None:
    body = "out = model_input['a'].where(model_input['a'] != 2)\nreturn out[model_input['a'] != 3].to_numpy()"
    scored = score_text("a,b,id\n1,0,x\n2,0,x\n3,0,x\n4,0,x\n", body)
    assert scored.predictions["prediction"].to_pylist() == [1, 4]
    assert [(r["reason"], r["source_line"]) for r in scored.rejects.to_pylist()] == [
        ("bad_prediction", 3),
        ("bad_prediction", 4),
    ]


def test_text_for_the_model_does_not_reach_the_table(score_text: Callable[..., Tables]) -> None:
    scored = score_text("a,b,id\n1,2,x\n")
    assert scored.predictions.column_names == ["a", "b", "id", "source_file", "source_line", "landed_at", "prediction"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='ab,"\n\r1.5x', max_size=80))
def test_any_text_gives_as_many_predictions_and_rejects_as_it_has_rows(
    score_text: Callable[..., Tables], text: str
) -> None:
    scored = score_text("a,b,id\n" + text)
    lines = scored.predictions["source_line"].to_pylist() + scored.rejects["source_line"].to_pylist()
    assert len(lines) == len(set(lines))
    if not any(c in text for c in '"\r'):  # then a line is a row
        assert len(lines) == sum(1 for line in text.split("\n") if line)


@pytest.mark.parametrize("chunk_rows", [1, 1000])
@pytest.mark.parametrize(
    ("column", "text"),
    [({}, "2024-05-06T10:00:00.{}Z"), ({"format": "%d.%m.%Y %H:%M:%S,%f"}, "06.05.2024 10:00:00,{}")],
)
def test_times_that_lose_digits_are_counted(
    tmp_path: Path, small_feed: Feed, model_of: Callable[..., Model], chunk_rows: int, column: Any, text: str
) -> None:
    columns = [{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]
    at = {"name": "at", "type": "timestamp", "role": "time"} | column
    body = {"name": "small", "csv": {"fractions": "truncate"}, "columns": [*columns, at]}
    fractions = ["123456", "1234567", "5", "123456789", "1234567890", "12345678"]
    path = tmp_path / "in.csv"
    rows = [f'{at},{at},"{text.format(fraction)}"\n' for at, fraction in enumerate(fractions)]
    path.write_text("a,b,at\n" + "".join(rows))
    status = path.stat()
    files = [LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)]
    options = ReadOptions(tmp_path.as_uri(), chunk_rows)
    for fractions_are, counted in (("truncate", 3), ("refuse", 0)):
        feed = Feed.model_validate(body | {"csv": {"fractions": fractions_are}})
        scored = list(score(files, feed, model_of(SUM, np.array([1.0])), options))
        assert sum(one.truncated for one in scored) == counted
        assert sum(one.rejects.num_rows for one in scored) == 4 - counted
