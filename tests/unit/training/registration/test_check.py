import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.operations.check_version import check_version as try_version
from schemas.errors import ContractError, RegistryError
from schemas.feed import Feed
from streamscore.registry.registry import Registry
from tests.support.present import present
from tests.support.register_kit import HOMES, a_candidate, registry_in, rows
from training.registration.check import Checker, CheckReport, judge_limits
from training.registration.register import register
from training.settings import Check

# the warning is MLflow's, of a model from code
pytestmark = [pytest.mark.trains, pytest.mark.filterwarnings("ignore:.*type hints:UserWarning")]

CODE = """
import os, mlflow, numpy as np, pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    calls = 0

    def predict(self, context, model_input, params=None):
        Model.calls += 1
{body}

mlflow.models.set_model(Model())
"""
TINY = Feed.model_validate(
    {
        "name": "tiny",
        "columns": [{"name": "a", "type": "double", "max": 9}, {"name": "b", "type": "float", "nullable": True}],
    }
)

SERIES = Feed.model_validate(
    {
        "name": "pair",
        "kind": "series",
        "series": {"steps": 3},
        "columns": [
            {"name": "place", "type": "string", "role": "key"},
            {"name": "at", "type": "date", "role": "time"},
            {"name": "x", "type": "double", "max": 99},
            {"name": "the y", "type": "double"},
        ],
    }
)
SERIES_CODE = """
import mlflow, numpy as np, pandas as pd

class Last(mlflow.pyfunc.PythonModel):
    def forecast_windows(self, windows, steps):
        mean = windows[:, -1:] + windows[:, :1] * np.arange(1, steps + 1)[:, np.newaxis] / 3
        return np.stack([mean, mean - 1, mean + 1], axis=-1)

    def predict(self, context, model_input, params=None):
        windows = model_input[["x", "the y"]].to_numpy(float)[np.newaxis]
        answer = Last.forecast_windows(self, windows, {steps})[0] + {more}
        names = [f"{{name}}{{bound}}" for name in ("x", "the y") for bound in ("", "_lower", "_upper")]
        return pd.DataFrame(answer.reshape(-1, 6), columns=names){rename}

mlflow.models.set_model(Last())
"""


def tried(feed: Feed, name: str, version: str, registry: Registry, **limits: float) -> CheckReport:
    with Checker(feed, name, registry) as checker:
        return checker.check(version, Check(**limits))


@pytest.fixture
def register_code(homes_registry: Registry, tmp_path: Path) -> Callable[..., str]:
    """Registers a model whose predict has the given body; returns its version of `tiny`."""

    def add(body: str, example: Any = None, output: Any = None, with_example: bool = True, **more: Any) -> Any:
        from mlflow.models import infer_signature

        example = pd.DataFrame({"a": [0.1, 2 / 3], "b": [0.5, np.nan]}) if example is None else example
        code = tmp_path / "model.py"
        code.write_text(CODE.format(body="\n".join(f"        {line}" for line in body.splitlines())))

        def log(mlflow: Any) -> Any:
            import mlflow.pyfunc

            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                signature=infer_signature(example, np.array([0.5]) if output is None else output),
                input_example=example if with_example else None,
                pip_requirements=[],
                **more,
            )

        return register(TINY, a_candidate(TINY, log=log), homes_registry).version

    return add


@pytest.fixture
def register_series(homes_registry: Registry, tmp_path: Path) -> Callable[..., str]:
    """Registers a forecaster from 2 rows, whose own answers may be changed; returns its version."""

    def add(rows: int = 2, example: Any = None, **own: Any) -> Any:
        from mlflow.models import infer_signature

        given = {"steps": "params['steps']", "more": 0, "rename": ""} | own
        code = tmp_path / "series.py"
        code.write_text(SERIES_CODE.format(**given))
        if example is None:
            dates = pd.date_range("2199-01-31", periods=rows)
            example = pd.DataFrame({"at": dates, "x": np.arange(rows) / 3, "the y": 0.1})
        features = example[["x", "the y"]]
        said = {"kind": "series", "window_rows": 2, "endogenous": ["the y", "x"], "steps": 2}

        def log(mlflow: Any) -> Any:
            import mlflow.pyfunc

            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                signature=infer_signature(features, features, params={"steps": 2}),
                input_example=example,
                metadata={"streamscore": said},
                pip_requirements=[],
            )

        return register(SERIES, a_candidate(SERIES, log=log), homes_registry).version

    return add


def test_a_version_of_every_type_of_column_answers_in_the_stream_as_it_does_alone(
    homes: Feed, homes_registry: Registry
) -> None:
    found = try_version(homes, "homes", "1", homes_registry)
    assert (found.rows, found.differences) == (4, ())
    assert found.predict_ms > 0
    assert found.memory_mb > 10
    # the example has what CSV makes hard
    assert rows(4)["rooms"].isna().any() and rows(4)["kind"].str.contains('"').any()


def test_a_model_whose_answers_depend_on_what_it_was_asked_before_is_told(
    homes_registry: Registry, register_code: Callable[..., str]
) -> None:
    version = register_code("return np.full(len(model_input), 1.0 * Model.calls)")
    found = try_version(TINY, "tiny", version, homes_registry)
    assert found.differences[0].startswith("for row 0 of its example the model predicts ")
    assert "the stream " in found.differences[0]
    assert len(found.differences) == 2


def test_an_example_that_the_stream_rejects_is_told(
    homes_registry: Registry, register_code: Callable[..., str]
) -> None:
    example = pd.DataFrame({"a": [1.0, 10.0], "b": [1.0, 2.0]})
    version = register_code("return model_input['a'].to_numpy()", example)
    (said,) = try_version(TINY, "tiny", version, homes_registry).differences
    assert said.startswith("the stream rejects line 3 of the example: out_of_range a")


def test_named_outputs_are_compared_field_by_field(homes_registry: Registry, register_code: Callable[..., str]) -> None:
    body = "a = model_input['a']\nreturn pd.DataFrame({'label': ['x'] * len(a), 'p': a / 3})"
    version = register_code(body, output=pd.DataFrame({"label": ["x"], "p": [0.1]}))
    assert try_version(TINY, "tiny", version, homes_registry).differences == ()


def test_a_model_without_an_example_is_refused(homes_registry: Registry, register_code: Callable[..., str]) -> None:
    version = register_code("return np.ones(len(model_input))", with_example=False)
    with pytest.raises(ContractError, match=r"has no input example"):
        try_version(TINY, "tiny", version, homes_registry)


def test_a_series_model_for_a_feed_of_rows_is_refused(
    homes_registry: Registry, register_code: Callable[..., str]
) -> None:
    version = register_code("return np.ones(3)", metadata={"streamscore": {"kind": "series", "window_rows": 2}})
    with pytest.raises(ContractError, match="is of kind 'series', feed tiny is of kind 'rows'"):
        try_version(TINY, "tiny", version, homes_registry)


@pytest.mark.parametrize("rows", [2, 5])
def test_a_forecaster_answers_in_the_stream_as_it_does_alone(
    homes_registry: Registry, register_series: Callable[..., str], rows: int
) -> None:
    found = try_version(SERIES, "pair", register_series(rows), homes_registry)
    assert (found.rows, found.differences) == (rows, ())


def test_a_forecaster_without_times_in_its_example_is_compared_too(
    homes_registry: Registry, register_series: Callable[..., str]
) -> None:
    example = pd.DataFrame({"x": [1 / 3, 5.0], "the y": [1e-9, 7e9]})
    assert try_version(SERIES, "pair", register_series(example=example), homes_registry).differences == ()


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"more": 1e-6}, "for step 1 after its example the model forecasts ["),
        ({"more": "np.array([0, 0, 1e-6])"}, "of 'x' (with bounds), the stream ["),
        ({"more": "np.nan"}, "the model forecasts [nan, nan, nan] of 'x'"),
        ({"steps": 2}, "the model forecasts 2 steps of 'x', the stream 3"),
        ({"rename": ".rename(columns={'x_upper': 'up'})"}, "its predict gives no columns x, x_lower, x_upper"),
        ({"rename": ".to_numpy()"}, "its predict gives no columns x, x_lower, x_upper"),
        ({"rows": 1}, "the stream has no forecast after its example: it has 1 rows, wanted at least 2"),
    ],
)
def test_a_forecaster_whose_answers_are_not_the_streams_is_told(
    homes_registry: Registry,
    register_series: Callable[..., str],
    own: dict[str, float] | dict[str, int] | dict[str, str],
    said: str,
) -> None:
    first = try_version(SERIES, "pair", register_series(**own), homes_registry).differences[0]
    assert said in first


def test_an_example_of_a_series_that_the_stream_rejects_is_told(
    homes_registry: Registry, register_series: Callable[..., str]
) -> None:
    example = pd.DataFrame({"at": pd.to_datetime(["2026-01-01", "2026-01-02"]), "x": [1.0, 100.0], "the y": 1.0})
    (said,) = try_version(SERIES, "pair", register_series(example=example), homes_registry).differences
    assert said.startswith("the stream rejects line 3 of the example: out_of_range x")


def test_figures_over_the_limits_are_the_reasons() -> None:
    found = {"predict_ms": 120.0, "memory_mb": 900.0, "rows": 5, "differences": ["row 1"]}
    assert judge_limits(found | {"differences": []}, Check(predict_ms=120, memory_mb=900)).passed
    report = judge_limits(found, Check(predict_ms=100, memory_mb=800))
    assert report.reasons == (
        "row 1",
        "its example takes 120.0 ms (p99), wanted at most 100 ms",
        "its process takes 900 MB, wanted at most 800 MB",
    )
    assert json.loads(report.to_json()) == {
        "passed": False,
        "reasons": list(report.reasons),
        "predict_ms": 120.0,
        "memory_mb": 900.0,
        "rows": 5,
    }


def test_a_fresh_process_finds_the_version_by_the_registry_it_is_given(
    homes: Feed, homes_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "homes.yaml").write_text(HOMES)
    monkeypatch.chdir(tmp_path)
    report = tried(homes, "homes", "1", homes_registry)
    assert report.passed, report.reasons
    assert (report.rows, present(report.predict_ms) > 0, present(report.memory_mb) > 100) == (4, True, True)


@pytest.mark.repeats
def test_a_model_that_kills_its_process_fails_the_check(
    homes_registry: Registry, register_code: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "tiny.yaml").write_text(
        "name: tiny\ncolumns: [{name: a, type: double}, {name: b, type: float, nullable: true}]\n"
    )
    monkeypatch.chdir(tmp_path)
    version = register_code("if 'STREAMSCORE_REGISTRY__TRACKING_URI' in os.environ:\n    os.kill(os.getpid(), 9)")
    report = tried(TINY, "tiny", version, homes_registry)
    assert report.reasons == ("the process that loaded it was killed by signal 9",)


@pytest.mark.repeats
def test_a_registry_that_is_down_says_nothing_of_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "homes.yaml").write_text(HOMES)
    with pytest.raises(RegistryError, match="no folder"):
        tried(TINY.model_copy(update={"name": "homes"}), "homes", "1", registry_in(tmp_path / "no"))


def test_a_check_that_does_not_end_is_stopped(homes: Feed, homes_registry: Registry) -> None:
    report = tried(homes, "homes", "1", homes_registry, seconds=0.01)
    assert report.reasons == ("the check of homes v1 did not end in 0.01 s, and was stopped",)
