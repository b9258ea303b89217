"""The online service as a process, with real models and real clients."""

import contextlib
import csv
import gzip
import http.client
import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import requests
from deltalake import DeltaTable
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from schemas.feed import Feed, load_feed
from schemas.settings import Tables as TablesSettings
from services.server import free_port
from streamscore.forecasting.to_parts import SeriesScorer
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import load_model
from streamscore.models.series_model import load_series_model
from streamscore.reading.read import ReadOptions
from streamscore.registry.registry import Registry
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.push import Pushed, push
from streamscore.scoring.score import score
from streamscore.storage.folder import LocalFolder
from streamscore.tables.tables import Tables
from tests.support import var_kit
from tests.support.code_models import (
    MISSING,
    SCALED,
    missing_signature,
    put_code_into_production,
    scaled_signature,
)
from tests.support.fixture_types import Trained
from tests.support.json_values import spoiled
from tests.support.series_kit import Driver
from tests.support.swagger import swagger
from tests.support.wait import until
from training.data.sample import sample

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
BOUNDED = hypothesis.settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
START_SECONDS = 120


def read_table(path: Path) -> pa.Table:
    """A Delta table."""
    return DeltaTable(path).to_pyarrow_table()


class Server:
    """A running `streamscore serve`."""

    def __init__(self, uri: str, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = os.environ | {
            "STREAMSCORE_REGISTRY__TRACKING_URI": uri,
            "STREAMSCORE_REGISTRY__POLL_SECONDS": "0.5",
            "STREAMSCORE_SCRATCH": str(folder / "scratch"),
            "STREAMSCORE_STORE__PATH": str(folder / "store"),
            "STREAMSCORE_TABLES__PATH": str(folder / "tables/{feed}"),
            "STREAMSCORE_REQUEST_LOG__SPOOL": str(folder / "spool"),
        }
        self.folder, self.log = folder, folder / "serve.log"
        command = [sys.executable, "-m", "jobs.cli", "serve", f"--port={self.port}", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def ask(
        self, path: str, body: Any = None, kind: str = "application/json", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, given | ({"content-type": kind} if kind else {}))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def predict(self, model: str, records: list[dict[str, Any]], query: str = "") -> tuple[int, Any]:
        """Status and answer of the service's own route."""
        status, _, said = self.ask(f"/models/{model}/predict{query}", {"dataframe_records": records})
        return status, json.loads(said)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.ask("/v2/health/ready")[0] == 200
        return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def put_into_production(registry: Registry, name: str, inputs: pd.DataFrame, signature: Any = None) -> None:
    """A model that adds its inputs up."""
    with registry.active() as mlflow:
        frame = inputs.astype("float64")
        model = LinearRegression(fit_intercept=False).fit(frame, frame.sum(axis=1))
        signature = signature or mlflow.models.infer_signature(inputs, model.predict(frame))
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            registered_model_name=name,
            serialization_format="skops",
            pip_requirements=[],
        )
        client = mlflow.MlflowClient()
        client.set_registered_model_alias(name, "production", logged.registered_model_version)


@pytest.fixture(scope="module")
def registry(wine_registry: Any) -> Trained:
    """The wine model, a VAR, and a model for each type that MLflow's own server gets wrong."""
    made: Trained = wine_registry()
    types: dict[str, Any] = {"integer": np.int32, "long": np.int64, "boolean": np.bool_}
    for name, kind in types.items():
        put_into_production(made.registry, name, pd.DataFrame({"x": np.array([1, 0], kind)}))
    var_kit.put_into_production(made.registry)
    put_code_into_production(made.registry, "scaled", SCALED, scaled_signature())
    put_code_into_production(made.registry, "missing", MISSING, missing_signature())
    return made


def push_to(folder: Path, version: str, source: str, registry: Registry) -> None:
    """Put a model of the registry into the store of a server, as `summed`."""
    ref = registry.resolve(source)
    files = registry.download(ref, folder / "pushed")
    store = FolderStore(LocalFolder(folder / "store"))
    push(store, Pushed(files, source, tags=ref.tags), "summed", version, registry.models)


@pytest.fixture(scope="module")
def server(registry: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    push_to(folder, "1.0.0", "models:/long@production", registry.registry)
    uris = ("models:/wine_quality@production", "store:/summed/^1", "models:/macrodata@production")
    made = Server(registry.uri, folder, *(f"--model={uri}" for uri in uris))
    try:
        until(made.is_ready, START_SECONDS)
        yield made
    finally:
        made.process.kill()
        made.process.wait()


@pytest.fixture(scope="module")
def wine(feed: Feed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 200 rows, some of them spoiled."""
    (path,) = sample(feed, 200, 1, tmp_path_factory.mktemp("wine"), bad=0.2, seed=7).paths
    return path


def as_value(text: str) -> Any:
    """The value that somebody who sends JSON has for a field."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text) if text else None
    return text


def test_a_row_sent_and_the_same_row_landed_get_the_same_answer(
    server: Server, registry: Trained, wine: Path, feed: Feed, tmp_path: Path
) -> None:
    ref = registry.registry.resolve("models:/wine_quality@production")
    model = load_model(registry.registry.download(ref, tmp_path), feed, ref.model)
    file = LandedFile(wine.as_uri(), wine.stat().st_size, wine.stat().st_mtime_ns)
    (landed,) = score([file], feed, model, ReadOptions(wine.parent.as_uri()))
    header, *records = list(csv.reader(io.StringIO(wine.read_text("utf-8", "replace"))))
    in_json = [(at, r) for at, r in enumerate(records, 2) if "nan" not in r and "\ufffd" not in "".join(r)]
    whole = [(line, r) for line, r in in_json if len(r) == len(header)]
    sent = [{name: as_value(text) for name, text in zip(header, record, strict=True)} for _, record in whole]
    status, said = server.predict("wine_quality", sent, "?errors=rows")
    assert status == 200
    streamed = dict(
        zip(landed.predictions["source_line"].to_pylist(), landed.predictions["prediction"].to_pylist(), strict=True)
    )
    assert {whole[row][0]: value for row, value in zip(said["rows"], said["predictions"], strict=True)} == streamed
    lines = {line for line, _ in whole}
    refused = {
        r["source_line"]: (r["reason"], r["column"]) for r in landed.rejects.to_pylist() if r["source_line"] in lines
    }
    assert {whole[e["row"]][0]: (e["reason"], e["column"]) for e in said["errors"]} == refused
    assert len(refused) > 10
    status, _, body = server.ask("/models/wine_quality/predict?errors=rows", wine.read_bytes(), "text/csv")
    as_csv = json.loads(body)
    assert dict(zip(as_csv["rows"], as_csv["predictions"], strict=True)) == streamed
    assert as_csv["refused"] == landed.rejects.num_rows


def test_every_answer_says_who_gave_it(server: Server, wine_row: dict[str, float]) -> None:
    status, headers, body = server.ask("/invocations", {"dataframe_records": [wine_row]}, x_request_id="mine")
    assert (status, list(json.loads(body))) == (200, ["predictions"])
    assert (headers["x-model-name"], headers["x-model-version"], headers["x-request-id"]) == (
        "wine_quality",
        "1",
        "mine",
    )
    assert len(headers["x-model-digest"]) == 64


@pytest.fixture(scope="module")
def wine_row(feed: Feed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    (path,) = sample(feed, 1, 1, tmp_path_factory.mktemp("row"), seed=1).paths
    row = pd.read_csv(path).iloc[0]
    return {c.name: float(row[c.name]) for c in feed.features}


@pytest.mark.parametrize(
    ("model", "value", "reason"),
    [
        ("integer", 3_000_000_000, "bad_type"),
        ("integer", 1.0, "bad_type"),
        ("integer", True, "bad_type"),
        ("long", 1.5, "bad_type"),
        ("long", 2**63, "bad_type"),
        ("boolean", "false", "bad_type"),
        ("boolean", 1, "bad_type"),
        ("boolean", None, "null_not_allowed"),
        ("integer", [1], "bad_type"),
        ("integer", {"x": 1}, "bad_type"),
    ],
)
def test_a_value_that_would_have_to_be_changed_is_refused(server: Server, model: str, value: Any, reason: str) -> None:
    status, said = server.predict(model, [{"x": 1 if model != "boolean" else True}, {"x": value}])
    assert status == 400
    assert [(e["row"], e["column"], e["reason"]) for e in said["errors"]] == [(1, "x", reason)]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b'{"dataframe_records": [{"x": 1, "x": 2}]}', "application/json", 400, "twice"),
        (b'{"dataframe_record": [{"x": 1}]}', "application/json", 400, "wanted one of dataframe_split"),
        (b'{"dataframe_records": [{"x": 1}], "inputs": []}', "application/json", 400, "wanted one of"),
        (b'{"dataframe_records": [{"X": 1}]}', "application/json", 400, "did you mean 'x'"),
        (b'{"dataframe_records": [{"x": NaN}]}', "application/json", 400, "no JSON"),
        (b"[" * 100_000, "application/json", 400, "no JSON"),
        (b"[]", "application/json", 400, "a list"),
        (b"1", "", 415, "content-type"),
        (b"x\n1", "text/plain", 415, "content-type"),
        (b"x,x\n1,2\n", "text/csv", 400, "duplicate_column"),
        (b"y\n1\n", "text/csv", 400, "column"),
        (b"", "text/csv", 400, "empty"),
        (b"x", "application/vnd.apache.parquet", 400, "parquet"),
        (b"x" * (17 * 2**20), "application/json", 413, "larger"),
    ],
)
def test_a_body_that_is_not_understood_is_refused(
    server: Server, body: bytes, kind: str, status: int, said: str
) -> None:
    for path in ("/models/integer/predict", "/models/integer/aliases/production/predict"):
        found, headers, answer = server.ask(path, body, kind)
        assert (found, said in answer.decode()) == (status, True), answer
        assert headers["content-type"] == "application/problem+json"


def test_each_format_of_a_table_gets_the_same_answer(server: Server) -> None:
    table = pa.table({"x": pa.array([1, 2, 3], pa.int32())})
    sink, parquet = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    pa.parquet.write_table(table, parquet)
    bodies: list[tuple[Any, str]] = [
        ({"dataframe_split": {"columns": ["x"], "data": [[1], [2], [3]]}}, "application/json"),
        ({"inputs": {"x": [1, 2, 3]}}, "application/json; charset=UTF-8"),
        ({"instances": [{"x": 1}, {"x": 2}, {"x": 3}]}, 'Application/JSON; charset="utf-8"'),
        (b"x\n1\n2\n3\n", "text/csv"),
        (sink.getvalue(), "application/vnd.apache.arrow.stream"),
        (parquet.getvalue(), "application/vnd.apache.parquet"),
    ]
    for body, kind in bodies:
        status, _, said = server.ask("/models/integer/predict", body, kind)
        assert (status, json.loads(said).get("predictions")) == (200, [1.0, 2.0, 3.0]), (kind, said)


def test_mlflows_own_client_is_answered_as_its_server_would(
    server: Server, registry: Trained, wine_row: dict[str, float]
) -> None:
    from mlflow.pyfunc.scoring_server import client as of_mlflow

    made: Any = of_mlflow.ScoringServerClient
    client = made("127.0.0.1", server.port)
    client.ping()
    frame = pd.DataFrame([wine_row] * 2)
    with registry.registry.active() as mlflow:
        wanted = mlflow.pyfunc.load_model("models:/wine_quality/1").predict(frame)
        assert server.ask("/version")[2].decode() == mlflow.__version__
    assert client.invoke(frame).get_predictions()[0].tolist() == list(wanted)


def test_the_client_of_triton_is_answered(server: Server, wine_row: dict[str, float]) -> None:
    import tritonclient.http as triton

    with contextlib.closing(triton.InferenceServerClient(f"127.0.0.1:{server.port}")) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("wine_quality")
        metadata = client.get_model_metadata("wine_quality")
        assert {tensor["name"] for tensor in metadata["inputs"]} == set(wine_row)
        answers = []
        for binary in (True, False):
            tensors = []
            for name, value in wine_row.items():
                tensors.append(triton.InferInput(name, [2, 1], "FP64"))
                tensors[-1].set_data_from_numpy(np.full((2, 1), value), binary_data=binary)
            outputs = [triton.InferRequestedOutput("predict", binary_data=binary)]
            answers.append(client.infer("wine_quality", tensors, outputs=outputs).as_numpy("predict"))
        answers.append(client.infer("wine_quality", tensors, model_version="1").as_numpy("predict"))
        with pytest.raises(triton.InferenceServerException, match="no model"):
            client.get_model_metadata("nobody")
        slow = triton.InferInput("x", [1], "FP64")
        slow.set_data_from_numpy(np.array([200.0]))
        assert client.is_model_ready("scaled")
        with pytest.raises(triton.InferenceServerException, match=r"no answer within 0\.2 s"):
            client.infer("scaled", [slow], timeout=200_000)
        assert client.get_model_repository_index()[0]["state"] == "READY"
    one = server.predict("wine_quality", [wine_row])[1]["predictions"]
    assert [answer.tolist() for answer in answers] == [one * 2] * 3


def test_a_promotion_is_served_without_a_failed_request(
    server: Server, registry: Trained, feed: Feed, wine_row: dict[str, float]
) -> None:
    seen: set[str] = set()

    def promoted_is_served() -> bool:
        status, said = server.predict("wine_quality", [wine_row])
        assert status == 200
        seen.add(said["version"])
        return "2" in seen

    until(lambda: promoted_is_served() or "1" in seen, 10)
    registry.registry.promote("wine_quality", "2", feed)
    try:
        until(promoted_is_served, 10)
    finally:
        registry.registry.promote("wine_quality", "1", feed)
    assert (
        server.ask("/models/wine_quality/versions/1/predict", {"dataframe_records": [wine_row]})[1]["x-model-version"]
        == "1"
    )


def test_a_model_of_the_store_is_served_and_followed(server: Server, registry: Trained) -> None:
    assert server.predict("summed", [{"x": 5}])[1]["predictions"] == [5.0]
    push_to(server.folder, "2.0.0", "models:/boolean@production", registry.registry)
    push_to(server.folder, "1.1.0", "models:/integer@production", registry.registry)
    until(lambda: server.predict("summed", [{"x": 5}])[1]["version"] == "1.1.0", 10)
    for version in ("1.0.0", "2.0.0"):
        status, headers, _ = server.ask(f"/models/summed/versions/{version}/predict", {"inputs": {"x": [True]}})
        assert (status, headers.get("x-model-version")) == ((400, None) if version == "1.0.0" else (200, version))
    assert server.ask("/models/summed/versions/9.0.0")[0] == 404


def test_a_series_is_forecast_as_by_statsmodels_and_as_in_the_stream(
    server: Server, registry: Trained, tmp_path: Path
) -> None:
    frame, names = var_kit.macrodata(), var_kit.NAMES
    levels = frame[names].to_numpy()
    status, headers, body = server.ask(
        "/models/macrodata/forecast", {"steps": 8, "dataframe_records": var_kit.records_of(frame)}
    )
    said = json.loads(body)
    assert (status, headers["x-model-version"], said["version"], said["model"]) == (200, "1", "1", "macrodata")
    (series,) = said["series"]
    columns = [f"{name}_{what}" for name in names for what in ("forecast", "lower", "upper")]
    found = pd.DataFrame(series["forecasts"])
    np.testing.assert_allclose(found[columns], var_kit.wanted(levels, 8).reshape(8, -1), rtol=1e-8)
    assert (series["after"], found["time"].tolist()[:2]) == ("2009-07-01", ["2009-10-01", "2010-01-01"])
    # what it was trained on, for a caller who sends nothing
    assert json.loads(server.ask("/models/macrodata/forecast?steps=8", b"")[2])["series"] == [series]
    # the stream's table, which ends two quarters earlier
    feed = load_feed("macrodata")
    assert server.ask("/models/macrodata/forecast?feed=macrodata", b"")[0] == 404
    driver = Driver(tmp_path, feed)
    driver.tables = Tables(server.folder / "tables" / feed.name, feed, TablesSettings())
    driver.forecasts = SeriesScorer(driver.tables)
    ref = registry.registry.resolve("models:/macrodata@production")
    model = load_series_model(registry.registry.download(ref, tmp_path / "model"), feed, ref.model)
    driver.run(driver.land(frame[:-2].to_csv(index=False), header=""), model)
    streamed = driver.table("forecasts").sort_values(["observation", "step"]).tail(4)
    (of_feed,) = json.loads(server.ask("/models/macrodata/forecast?feed=macrodata", b"")[2])["series"]
    assert of_feed["after"] == "2009-01-01"
    np.testing.assert_array_equal(pd.DataFrame(of_feed["forecasts"])[columns], streamed[columns])


def test_kserves_forecast_protocol_is_answered_with_the_same_numbers(server: Server) -> None:
    levels = var_kit.macrodata()[var_kit.NAMES].to_numpy()
    given = {
        "type": "multivariate_time_series",
        "name": "usa",
        "series": levels.tolist(),
        "frequency": "Q",
        "start_timestamp": "1959-01-01",
    }
    asked = {"model": "macrodata", "inputs": [given, given], "options": {"horizon": 4, "quantiles": [0.025, 0.5]}}
    status, _, body = server.ask("/v1/timeseries/forecast", asked, x_request_id="mine")
    said = json.loads(body)
    assert (status, said["id"], said["status"], said["outputs"][0]["status"]) == (200, "mine", "completed", "completed")
    wanted = var_kit.wanted(levels, 4)
    for content in said["outputs"][0]["content"]:
        assert (content["name"], content["start_timestamp"], content["frequency"]) == ("usa", "2009-10-01", "Q")
        np.testing.assert_allclose(content["mean_forecast"], wanted[..., 0], rtol=1e-8)
        np.testing.assert_allclose(content["quantiles"]["0.025"], wanted[..., 1], rtol=1e-8)
        np.testing.assert_allclose(content["quantiles"]["0.5"], wanted[..., 0], rtol=1e-8)
    refused: list[Any] = [
        {},
        [],
        {"model": 5},
        asked | {"inputs": [5]},
        asked | {"options": {}},
        asked | {"model": "nobody"},
    ]
    for wrong in refused:
        status, _, body = server.ask("/v1/timeseries/forecast", wrong)
        assert status in (400, 404) and json.loads(body)["error"]["code"] == str(status)


def test_a_model_of_series_and_one_of_rows_say_where_each_is_asked(server: Server, wine_row: dict[str, float]) -> None:
    for path, body, other in (
        ("/models/macrodata/predict", {"dataframe_records": []}, "/models/macrodata/forecast"),
        ("/v2/models/macrodata/infer", {"inputs": []}, "/models/macrodata/forecast"),
        ("/models/wine_quality/forecast", {"dataframe_records": [wine_row]}, "/models/wine_quality/predict"),
    ):
        status, _, said = server.ask(path, body)
        assert (status, other in said.decode()) == (409, True), said
    assert server.ask("/v2/models/macrodata/ready")[0] == 200
    described = json.loads(server.ask("/models/macrodata")[2])
    assert (described["kind"], described["window_rows"], described["frequency"]) == ("series", 4, "P3M")
    assert [column["name"] for column in described["inputs"]] == ["date", *var_kit.NAMES]


def test_swagger_and_the_document_need_no_network(server: Server) -> None:
    document = json.loads(server.ask("/openapi.json")[2])
    posts = {path: methods["post"] for path, methods in document["paths"].items() if "post" in methods}
    wanted = {"/models/wine_quality/predict", "/models/macrodata/forecast", "/v1/timeseries/forecast"}
    assert wanted <= set(posts)
    for path, post in posts.items():
        if example := post["requestBody"]["content"]["application/json"].get("example"):  # not of a user's model
            status, _, said = server.ask(path, example)
            assert status == 200, (path, said)
    for place in ("/docs", "/apidocs"):
        status, headers, page = server.ask(place)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"http:" not in page and b"https:" not in page
        assert server.ask(f"{place}/static/swagger-ui-bundle.js")[0] == 200


def test_what_became_of_each_request_is_in_the_table_a_second_later(server: Server, wine_row: dict[str, float]) -> None:
    good, bad = {"dataframe_records": [wine_row, wine_row]}, {"dataframe_records": [wine_row, wine_row | {"pH": "x"}]}
    history = {"steps": 2, "dataframe_records": [{"date": "2009-01-01", "realgdp": 1}]}
    asked: list[tuple[str, Any, int]] = [
        ("/models/wine_quality/predict", good, 200),
        ("/models/wine_quality/predict?errors=rows", bad, 200),
        ("/invocations", bad, 400),
        ("/models/wine_quality/predict", b"{", 400),
        ("/models/long/predict", {"dataframe_records": [{"x": 5}]}, 200),
        ("/models/nobody/predict", good, 404),
        ("/models/macrodata/forecast", {"steps": 2}, 200),
        ("/models/macrodata/forecast", history, 400),
    ]
    said = [server.ask(path, body, x_request_id=f"logged-{n}") for n, (path, body, _) in enumerate(asked)]
    assert [status for status, *_ in said] == [status for *_, status in asked]
    places = {feed: server.folder / "tables" / feed / "requests" for feed in ("wine_quality", "macrodata", "serving")}
    found: dict[str, list[dict[str, Any]]] = {}

    def all_there() -> bool:
        for feed, place in places.items():
            rows = read_table(place).to_pylist() if (place / f"_delta_log/{0:020}.json").exists() else []
            found[feed] = [row for row in rows if row["request_id"].startswith("logged-")]
        return len({row["request_id"] for rows in found.values() for row in rows}) == len(asked)

    until(all_there, 10)
    for rows in found.values():
        rows.sort(key=lambda row: (row["request_id"], row["request_row"] or 0, row.get("step") or 0))
    predictions = json.loads(said[0][2])["predictions"]
    wine = [(r["request_id"][-1], r["request_row"], r["request_status"], r["prediction"], r["reason"], r["ph"])
            for r in found["wine_quality"]]  # fmt: skip
    assert wine == [
        ("0", 0, 200, predictions[0], None, wine_row["pH"]),
        ("0", 1, 200, predictions[1], None, wine_row["pH"]),
        ("1", 0, 200, predictions[0], None, wine_row["pH"]),
        ("1", 1, 200, None, "bad_type", None),
        ("2", 0, 400, None, None, wine_row["pH"]),
        ("2", 1, 400, None, "bad_type", None),
        ("3", None, 400, None, None, None),
    ]
    assert [(r["request_id"][-1], r["request_status"], r["prediction"]) for r in found["serving"]] == [
        ("4", 200, "5.0"),
        ("5", 404, None),
    ]
    steps = json.loads(said[6][2])["series"][0]["forecasts"]
    assert [(r["step"], r["realgdp_forecast"]) for r in found["macrodata"]] == [
        *((f["step"], f["realgdp_forecast"]) for f in steps),
        (None, None),
    ]


def test_params_are_held_against_the_signature_and_reach_the_model(server: Server) -> None:
    body = {"inputs": {"x": [1, 2]}, "params": {"factor": 3}}
    status, said = 200, [3.0, 6.0]
    for path in ("/models/scaled/predict", "/models/scaled/versions/production/predict"):
        found, _, answer = server.ask(path, body)
        assert (found, json.loads(answer)["predictions"]) == (status, said)
    tensor = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}
    asked = {"inputs": [tensor], "parameters": {"factor": 3, "content_type": "pd", "priority": 1}}
    _, _, answer = server.ask("/v2/models/scaled/infer", asked)
    assert json.loads(answer)["outputs"][0]["data"] == [3.0, 6.0]
    for params, wanted in (
        ({"factor": "3"}, "param 'factor': found '3', wanted double"),
        ({"factor": None}, "param 'factor': found null, wanted double"),
        ({"factor": [1]}, "param 'factor': found [1], wanted double"),
        ({"limit": 3_000_000_000}, "param 'limit': found 3000000000, wanted int"),
        ({"limit": 1.5}, "param 'limit': found 1.5, wanted int"),
        ({"exact": "false"}, "param 'exact': found 'false', wanted boolean"),
        ({"since": "soon"}, "param 'since': found 'soon', wanted timestamp"),
        ({"weights": [1, 2.5]}, "param 'weights', element 1: found 2.5, wanted long"),
        ({"weights": 1}, "param 'weights': found 1, wanted long, in a list"),
        ({"faktor": 3}, "found param 'faktor', the signature has factor, mode"),
        (["factor"], "params is no object"),
    ):
        status, _, answer = server.ask("/models/scaled/predict", body | {"params": params})
        assert (status, wanted in json.loads(answer)["detail"]) == (400, True), answer
    status, said = server.predict("long", [{"x": 1}])
    status, _, answer = server.ask("/models/long/predict", {"inputs": {"x": [1]}, "params": {"factor": 3}})
    assert (status, b"the signature has none" in answer) == (400, True)


def test_a_null_reaches_the_model_where_the_signature_says_optional(server: Server) -> None:
    whole: dict[str, Any] = {
        "boolean": True,
        "integer": 1,
        "long": 2**53 + 1,
        "float": 1.5,
        "double": 1,
        "string": "",
        "datetime": "2024-01-01",
    }
    rows = [whole, dict.fromkeys(whole), *(whole | {name: None} for name in whole), {"long": 1}]
    wanted = [0.0, 7.0, *[1.0] * 7, 6.0]
    assert server.predict("missing", rows)[1]["predictions"] == wanted
    table = pa.Table.from_pylist(rows[:-1])
    table = table.set_column(6, "datetime", table["datetime"].cast(pa.timestamp("us")))
    parquet = io.BytesIO()
    pa.parquet.write_table(table, parquet)
    text = ",".join(whole).encode() + b"\n,,1,,,,\n,,,,nan,,\n,,1,,1,,\n"
    for body, kind, found in (
        (parquet.getvalue(), "application/vnd.apache.parquet", wanted[:-1]),
        (text, "text/csv", [6.0, 7.0, 5.0]),
        ({"inputs": {"long": [1, None], "boolean": [None, False]}}, "application/json", [6.0, 6.0]),
    ):
        status, _, said = server.ask("/models/missing/predict", body, kind)
        assert (status, json.loads(said).get("predictions")) == (200, found), said
    tensors = [{"name": "long", "shape": [2], "datatype": "INT64", "data": [None, 2**53 + 1]}]
    assert json.loads(server.ask("/v2/models/missing/infer", {"inputs": tensors})[2])["outputs"][0]["data"] == [7, 6]


def test_nan_is_no_value_of_a_required_input_in_any_format(server: Server) -> None:
    table = pa.table({"x": [1.0, float("nan")]})
    parquet = io.BytesIO()
    pa.parquet.write_table(table, parquet)
    for body, kind in (
        (b'{"inputs": {"x": [1, NaN]}}', "application/json"),
        (b"x\n1\nnan\n", "text/csv"),
        (parquet.getvalue(), "application/vnd.apache.parquet"),
    ):
        status, _, said = server.ask("/models/scaled/predict", body, kind)
        assert (status, b"predictions" in said) == (400, False), (kind, said)
    head = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]}'
    size = {"inference_header_content_length": str(len(head))}
    status, _, said = server.ask("/v2/models/scaled/infer", head + np.array([np.nan]).tobytes(), **size)
    assert (status, b"not_finite" in said) == (400, True), said


def test_requests_of_different_params_and_sizes_each_get_their_own_rows(server: Server) -> None:
    def ask(number: int) -> list[float]:
        rows = [number] * (1 + number % 3)
        body = {"inputs": {"x": rows}, "params": {"factor": number % 4}}
        status, _, said = server.ask("/models/scaled/predict", body)
        assert status == 200
        return list(json.loads(said)["predictions"])

    numbers = [n for n in range(1, 120) if n not in (13, 66)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, numbers))
    assert answers == [[n * (n % 4)] * (1 + n % 3) for n in numbers]


def test_a_row_that_breaks_a_call_costs_only_its_own_request_an_answer(server: Server) -> None:
    def ask(number: int) -> tuple[int, Any]:
        return server.predict("scaled", [{"x": number}])

    numbers = [1, 13, 2, -1, 3, 66, 4, -2, 5, 13] * 4
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, numbers))
    wanted = {13: "ValueError: thirteen", -1: "bad_prediction", 66: "asked to end the process", -2: "infinite"}
    for number, (status, said) in zip(numbers, answers, strict=True):
        if number in wanted:
            assert (status, wanted[number] in said["detail"]) == (422, True), said
        else:
            assert (status, said["predictions"]) == (200, [float(number)])
    status, said = server.predict("scaled", [{"x": n} for n in (1, 13, 66, -1, 2)], "?errors=rows")
    assert (status, said["predictions"], said["rows"], said["refused"]) == (200, [1.0, 2.0], [0, 4], 3)
    assert [(e["row"], e["reason"]) for e in said["errors"]] == [
        (1, "model_error"),
        (2, "model_error"),
        (3, "bad_prediction"),
    ]


def test_a_model_is_loaded_unloaded_and_counted_by_the_client_of_triton(server: Server) -> None:
    import tritonclient.http as triton

    def states() -> dict[str, str]:
        return {one["name"]: one["state"] for one in client.get_model_repository_index()}

    made: Any = triton.InferenceServerClient
    with contextlib.closing(made(f"127.0.0.1:{server.port}")) as client:
        assert {"model_repository", "statistics"} <= set(client.get_server_metadata()["extensions"])
        client.load_model("integer")
        tensor: Any = triton.InferInput("x", [3], "INT32")
        tensor.set_data_from_numpy(np.array([1, 2, 3], np.int32))
        before = client.get_inference_statistics("integer")["model_stats"][0]
        client.infer("integer", [tensor])
        (after,) = client.get_inference_statistics("integer", "1")["model_stats"]
        assert after["inference_count"] - before["inference_count"] == 3
        assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
        assert after["execution_count"] - before["execution_count"] == 1
        names = [one["name"] for one in client.get_inference_statistics()["model_stats"]]
        assert {"integer", "wine_quality"} <= set(names)
        assert states()["integer"] == "READY"
        client.unload_model("integer")
        assert (states()["integer"], client.is_model_ready("integer")) == ("UNAVAILABLE", False)
        with pytest.raises(triton.InferenceServerException, match="integer was unloaded"):
            client.infer("integer", [tensor])
        with pytest.raises(triton.InferenceServerException, match="integer"):
            client.get_inference_statistics("integer")
        assert server.predict("integer", [{"x": 1}])[0] == 404
        client.load_model("integer")
        assert client.infer("integer", [tensor]).as_numpy("predict").tolist() == [1.0, 2.0, 3.0]
        assert states()["integer"] == "READY"
        with pytest.raises(triton.InferenceServerException, match="no model"):
            client.load_model("nobody")


def test_a_model_says_all_that_is_known_of_it(server: Server, registry: Trained) -> None:
    described = json.loads(server.ask("/models/wine_quality/aliases/production")[2])
    version = registry.registry.version("wine_quality", "1")
    assert (described["version"], described["stage"], described["aliases"]) == ("1", "Production", ["production"])
    assert described["metrics"] == pytest.approx(version.metrics) and "rmse" in described["metrics"]
    assert described["tags"]["streamscore.feed"] == "wine_quality"
    assert not any("manifest" in tag for tag in described["tags"])
    assert described["training_data"]["rows"] == int(version.tags["streamscore.data_rows"])
    assert (described["gate"]["verdict"], described["gate"]["report"]["passed"]) == ("passed", True)
    assert len(described["digest"]) == 64 and described["signature"]["inputs"]
    stored = json.loads(server.ask("/models/summed/versions/1.0.0")[2])
    assert (stored["version"], stored["stage"], stored["registry"]) == ("1.0.0", None, "answered")
    assert [param["name"] for param in json.loads(server.ask("/models/scaled")[2])["params"]][:2] == ["factor", "mode"]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/nothing", "detail"), ("/v2/nothing", "error"), ("/v1/nothing", "error"), ("/models/a/b/c", "detail")],
)
def test_a_path_that_is_not_there_is_refused_in_the_words_of_its_protocol(server: Server, path: str, key: str) -> None:
    status, headers, said = server.ask(path)
    assert (status, key in json.loads(said), "x-request-id" in headers) == (404, True, True)
    status, headers, said = server.ask("/invocations")
    assert (status, headers["allow"], "error_code" in json.loads(said)) == (405, "POST", True)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"this is,,,, not valid json", "application/json", 400),
        (b"1", "application/json", 400),
        (b'"1"', "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"not": "a serialized dataframe"}', "application/json", 400),
        (b'{"messages": []}', "application/json", 400),
        (b'{"dataframe_records": [], "dataframe_split": {"data": []}}', "application/json", 400),
        (b'{"dataframe_records": {"columns": ["x"], "data": [[1]]}}', "application/json", 400),
        (b'{"dataframe_split": [{"x": 1}]}', "application/json", 400),
        (b'{"dataframe_split": {"index": [1, 2], "data": [[1], [2], [3]]}}', "application/json", 400),
        (b'{"dataframe_split": {"columns": ["x"], "data": [[1]], "rows": 1}}', "application/json", 400),
        (b'{"inputs": {"x": [1]}, "params": {"limit": "many"}}', "application/json", 400),
        (b"", "text/csv", 400),
        (b'{"inputs": {"x": [1]}}', "not_a_supported_content_type", 415),
        (b'{"inputs": {"x": [1]}}', "application/json; something=something", 415),
        (b'{"inputs": {"x": [1]}}', "application/json; charset=latin-1", 415),
        (b"[" * 100_000, "application/json", 400),
        (b'{"inputs":' * 100_000, "application/json", 400),
    ],
)
def test_what_mlflows_server_refuses_is_refused_with_its_code(
    server: Server, body: bytes, kind: str, status: int
) -> None:
    found, _, said = server.ask("/invocations", body, kind)
    answer = json.loads(said)
    assert (found, answer["error_code"], bool(answer["message"])) == (status, "BAD_REQUEST", True)
    assert b"Traceback" not in said and str(ROOT).encode() not in said


def test_what_mlflows_server_does_not_read_is_named(server: Server, wine_row: dict[str, float]) -> None:
    body = {"dataframe_records": [wine_row], "client_request_id": "7", "params": {"faktor": 1}}
    status, headers, said = server.ask("/invocations", body, "application/json; charset=UTF-8")
    assert (status, headers["x-ignored-keys"]) == (200, "client_request_id, params.faktor")
    assert json.loads(said) == json.loads(server.ask("/invocations", {"dataframe_records": [wine_row]})[2])
    assert server.ask("/models/wine_quality/predict", body)[0] == 400
    assert server.ask("/invocations", {"dataframe_records": [wine_row], "parms": {}})[0] == 400


def test_a_request_as_mlservers_codec_of_pandas_makes_it_is_answered(server: Server) -> None:
    asked = (
        b'{"parameters":{"content_type":"pd"},"inputs":[{"name":"long","shape":[2,1],"datatype":"INT64","data":[1,2]},'
        b'{"name":"double","shape":[2,1],"datatype":"FP64","data":[1.5,null]},'
        b'{"name":"boolean","shape":[2,1],"datatype":"BOOL","data":[true,false]},{"name":"string","shape":[2,1],'
        b'"datatype":"BYTES","parameters":{"content_type":"str"},"data":["a","\xc3\xa9"]}]}'
    )
    status, _, said = server.ask("/v2/models/missing/infer", asked)
    answer = json.loads(said)
    assert (status, answer["model_name"], answer["model_version"]) == (200, "missing", "1")
    assert answer["outputs"] == [{"name": "predict", "shape": [2], "datatype": "FP64", "data": [3.0, 4.0]}]
    index = json.loads(server.ask("/v2/repository/index", {"ready": True})[2])
    assert {"name": "missing", "version": "1", "state": "READY", "reason": ""} in index
    status, _, said = server.ask("/v2/models/missing/infer", {"inputs": [{"name": "long", "shape": 2}]})
    assert (status, list(json.loads(said))) == (400, ["error"])  # FastAPI would say 422 and "detail"


def test_bodies_that_grow_are_bounded(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 110_000
    with ThreadPoolExecutor(50) as pool:
        answers = [
            pool.submit(server.ask, path, bomb, content_encoding="gzip")
            for path in ("/models/integer/predict", "/v2/models/integer/infer") * 25
        ]
    assert {answer.result()[0] for answer in answers} <= {413, 429, 503}
    for broken in (bomb[:1000], b"no gzip", bomb + b"more"):
        status, _, said = server.ask("/models/integer/predict", broken, content_encoding="gzip")
        assert status in (400, 413), said
    good = gzip.compress(json.dumps({"inputs": {"x": [1]}}).encode())
    assert server.ask("/models/integer/predict", good, content_encoding="gzip")[0] == 200
    assert sent_in_chunks(server, [b"%c" % byte for byte in b'{"inputs": {"x": [1]}}' + b" " * 200_000]) == 200
    assert sent_in_chunks(server, [b" " * 2**16] * 300) == 413
    assert process.memory_info().rss - before < 300_000_000


def sent_in_chunks(server: Server, chunks: list[bytes]) -> int:
    """The status of a prediction whose body comes in these pieces."""
    head = b"POST /models/integer/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
    head += b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):  # it may have heard enough
            for at in range(0, len(chunks), 1000):
                connection.sendall(b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks[at : at + 1000]))
            connection.sendall(b"0\r\n\r\n")
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("seconds", [2, pytest.param(10, marks=pytest.mark.repeats)])
def test_clients_that_go_away_leave_nothing_to_those_who_stay(server: Server, seconds: int) -> None:
    body = json.dumps({"inputs": {"x": [5.0]}}).encode()
    head = b"POST /models/scaled/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
    until_then = time.monotonic() + seconds

    def ask(number: int) -> set[int]:
        found = {200}
        while time.monotonic() < until_then:
            if number % 2:
                found.add(server.ask("/models/scaled/predict", body)[0])
                continue
            with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
                connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body[: number % 8 * 3])
        return found

    with ThreadPoolExecutor(16) as pool:
        assert set().union(*pool.map(ask, range(16))) == {200}
    assert server.predict("scaled", [{"x": 5}])[1]["predictions"] == [5.0]


@pytest.mark.repeats
def test_deadlines_that_pass_do_not_slow_a_long_load_down(server: Server) -> None:
    """A third of the requests has less time than it needs, for a minute; what one costs does not grow meanwhile."""
    body = {"dataframe_records": [{"x": 5}]}
    until_then, counts = time.monotonic() + 60, Counter[int]()
    process = psutil.Process(server.process.pid)

    def ask(number: int) -> None:
        session = requests.Session()
        headers = {"x-request-timeout-ms": "1"} if number % 3 == 0 else {}
        while time.monotonic() < until_then:
            status = session.post(f"{server.url}/models/scaled/predict", json=body, headers=headers, timeout=30)
            counts[status.status_code] += 1

    seen = []  # processor seconds, answers, memory
    with ThreadPoolExecutor(12) as pool:
        asking = [pool.submit(ask, number) for number in range(12)]
        for seconds in (10, 20, 20):
            time.sleep(seconds)
            seen.append((process.cpu_times().user, counts.total(), process.memory_info().rss))
        for one in asking:
            one.result()
    assert {200, 504} <= set(counts) <= {200, 408, 504}, counts
    first, last = ((b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(seen))
    assert last < 1.5 * first, seen
    assert seen[2][2] - seen[0][2] < 50_000_000
    until(lambda: b"streamscore_requests_at_work 0.0" in server.ask("/metrics")[2], 10)  # counted once a second


EXAMPLES = [5, pytest.param(150, marks=pytest.mark.repeats)]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_no_request_after_the_document_or_against_it_makes_the_service_fail(server: Server, examples: int) -> None:
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_dict(json.loads(server.ask("/openapi.json")[2]))
    session = requests.Session()
    for found in schema.get_all_operations():
        result: Any = found
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and operation.method != "post":
                continue  # there is nothing in it that could be wrong

            @hypothesis.settings(BOUNDED, max_examples=examples)
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def holds(case: Any) -> None:
                case.call_and_validate(base_url=server.url, session=session, checks=checks)

            holds()


@pytest.mark.parametrize("examples", [40, pytest.param(1500, marks=pytest.mark.repeats)])
def test_no_body_makes_the_service_fail(server: Server, examples: int) -> None:
    document = json.loads(server.ask("/openapi.json")[2])
    bodies = {
        path.format(user="nobody"): methods["post"]["requestBody"]["content"]["application/json"].get("example", {})
        for path, methods in document["paths"].items()
        if "post" in methods
    }
    session = requests.Session()

    @hypothesis.settings(BOUNDED, max_examples=examples * len(bodies))
    @hypothesis.given(
        asked=st.sampled_from(sorted(bodies)).flatmap(lambda p: st.tuples(st.just(p), spoiled(bodies[p])))
    )
    def holds(asked: tuple[str, Any]) -> None:
        path, body = asked
        answer = session.post(server.url + path, json=body, timeout=30)
        assert answer.status_code < 500, (asked, answer.text)
        json.loads(answer.content, parse_constant=pytest.fail)  # bytes: requests guesses at .text; NaN is no JSON

    holds()
    assert server.is_ready()


@pytest.mark.needs("chromium")
def test_each_example_runs_in_a_browser_without_a_network(server: Server, tmp_path: Path) -> None:
    with swagger(server.url) as page:
        page.open("/apidocs/")
        for operation, wanted in (
            ("predict_wine_quality", "predictions"),
            ("forecast_macrodata", "realgdp_forecast"),
            ("timeseries_forecast", "mean_forecast"),
            ("invocations", "predictions"),
            ("v2_infer_wine_quality", "outputs"),
        ):
            status, said = page.try_out(operation)
            assert (status, wanted in said) == (200, True), (operation, said)
        page.picture("forecast_macrodata", tmp_path / "forecast.png")
        assert (page.blocked, page.errors) == ([], [])
    assert (tmp_path / "forecast.png").stat().st_size > 1000


def test_a_stop_answers_what_was_asked(registry: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSCORE_SERVING__DRAIN_SECONDS", "4")  # so that a slow machine comes to ask
    server = Server(registry.uri, tmp_path)
    until(server.is_ready, START_SECONDS)
    begun = time.monotonic()
    assert server.predict("long", [{"x": 5}])[1]["predictions"] == [5.0]
    assert server.ask("/invocations", {"inputs": []})[0] == 404
    print(f"first answers of models that were not loaded: {time.monotonic() - begun:.1f} s")
    assert server.predict("scaled", [{"x": 1}])[0] == 200
    kept = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(4)]
    asked = [asked_on(connection) for connection in kept]
    with ThreadPoolExecutor(1 + len(kept)) as pool:
        slow = pool.submit(server.predict, "scaled", [{"x": 200}])
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.is_ready(), 3)
        assert (server.ask("/v2/health/ready")[0], server.ask("/ping")[0]) == (503, 404)
        # each connection that was kept has one more answer, which says that it is the last one
        assert [(asked_on(connection), connection.sock) for connection in kept] == [(one, None) for one in asked]
        assert slow.result()[1]["predictions"] == [200.0]
    assert server.process.wait(60) == 0, server.log.read_text()
    logged = read_table(tmp_path / "tables/serving/requests").to_pylist()
    wanted = [(200, "5.0"), (404, None), (200, "1.0"), *[(200, "5.0")] * 8, (200, "200.0")]
    assert Counter((row["request_status"], row["prediction"]) for row in logged) == Counter(wanted)


def asked_on(connection: http.client.HTTPConnection) -> Any:
    """The answer on a connection that may be open already."""
    body = json.dumps({"dataframe_records": [{"x": 5}]})
    connection.request("POST", "/models/long/predict", body, {"content-type": "application/json"})
    return json.loads(connection.getresponse().read())["predictions"]
