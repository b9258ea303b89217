"""The application with real models out of a model store, in the test's own process."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.linear_model import LinearRegression

from jobs.operations.compare import assert_within, compare, show
from jobs.serving.access.new_key import entry_of, new_key
from jobs.serving.app import create_app
from schemas.errors import ContractError
from schemas.settings import Models, Settings, Store, load_settings
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.push import Pushed, push
from streamscore.storage.folder import LocalFolder
from tests.support.asgi_kit import InProcess
from tests.support.request_kit import requests_in, settings_of
from tests.support.wait import until


def push_slope(store: Path, name: str, version: str, slope: float, folder: Path) -> None:
    """A version that gives its input, times something."""
    from mlflow.models import infer_signature
    from mlflow.sklearn import save_model

    frame = pd.DataFrame({"x": np.array([0.0, 1.0])})
    model = LinearRegression(fit_intercept=False).fit(frame, frame["x"] * slope)
    files = folder / f"{name}-{version}"
    signature = infer_signature(frame, model.predict(frame))
    save_model(model, files, signature=signature, serialization_format="skops", pip_requirements=["scikit-learn"])
    push(FolderStore(LocalFolder(store)), Pushed(files, str(files)), name, version, Models(manifest="warn"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`line` in two versions."""
    folder = tmp_path_factory.mktemp("store")
    push_slope(folder / "store", "line", "1.0.0", 1.0, folder)
    push_slope(folder / "store", "line", "2.0.0", 2.0, folder)
    return folder / "store"


def settings(folder: Path, store: Path, *models: str, **serving: Any) -> Settings:
    """Of a service with a model store and no registry."""
    made = load_settings("local", {f"serving.{key}": value for key, value in serving.items()})
    more = settings_of(folder)
    return made.model_copy(
        update={
            "store": Store(path=str(store)),
            "tables": more.tables,
            "request_log": more.request_log,
            "scratch": str(folder / "scratch"),
            "routing": made.routing.model_copy(update={"routes": str(folder / "routes.yaml"), "shadow_share": 1.0}),
            "serving": made.serving.model_copy(update={"models": models}),
        }
    )


ROUTES = """
patterns:
  half-*: {model: "store:/line/1.0.0", canary: {model: "store:/line/2.0.0", percent: 50}}
  lost-*: {model: "store:/line/1.0.0", canary: {model: "store:/line/9.9.9", percent: 100}}
  dark-*: {model: "store:/line/1.0.0", shadow: {model: "store:/line/2.0.0"}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("service")
    (made / "routes.yaml").write_text(ROUTES)
    return made


@pytest.fixture(scope="module")
def service(folder: Path, store: Path) -> Iterator[InProcess]:
    with InProcess(create_app(settings(folder, store, "store:/line/1.0.0"))) as app:
        until(lambda: app.ask("/v2/health/ready").status == 200, 30)
        yield app


def rows(*values: Any) -> dict[str, Any]:
    return {"dataframe_records": [{"x": value} for value in values]}


def test_threads_let_the_event_loop_through_while_the_service_runs(service: InProcess) -> None:
    assert service.ask("/ping").status == 200
    assert sys.getswitchinterval() == pytest.approx(0.0005)  # not 5 ms


def test_each_request_is_logged_with_what_was_answered(service: InProcess, folder: Path) -> None:
    assert service.ask("/models/line/predict", rows(1, 2), x_request_id="a").json()["predictions"] == [1.0, 2.0]
    assert service.ask("/models/line/predict", rows("x"), x_request_id="b").status == 400
    assert service.ask("/v2/models/line/versions/9.9.9/infer", {"inputs": []}, x_request_id="c").status == 404
    assert service.ask("/models/line", x_request_id="d").status == 200

    def logged() -> list[dict[str, Any]]:
        found = [row for row in requests_in(folder, "serving") if row["request_id"] in "abcd"]
        return sorted(found, key=lambda row: (row["request_id"], row["request_row"] or 0))

    until(lambda: len(logged()) == 4, 5)
    names = ("request_id", "request_row", "request_status", "prediction", "reason", "raw")
    assert [tuple(row[name] for name in names) for row in logged()[:3]] == [
        ("a", 0, 200, "1.0", None, '{"x":1}'),
        ("a", 1, 200, "2.0", None, '{"x":2}'),
        ("b", 0, 400, None, "bad_type", '{"x":"x"}'),
    ]
    routes = {row["request_route"]: row["model_version"] for row in logged()}
    assert routes == {"/models/{name}/predict": "1.0.0", "/v2/models/{name}/versions/{version}/infer": None}


@pytest.mark.parametrize(
    "query", ["error=rows", "errors=row", "errors=", "errors=rows&errors=rows", "Errors=rows", "x"]
)
def test_a_query_that_is_not_understood_is_refused(service: InProcess, query: str) -> None:
    answer = service.ask(f"/models/line/predict?{query}", rows(1))
    assert (answer.status, "wanted errors=rows" in answer.json()["detail"]) == (400, True)
    for good in ("", "errors=refuse", "errors=rows"):
        assert service.ask(f"/models/line/predict?{good}", rows(1)).status == 200


def metrics_of(service: InProcess) -> dict[str, float]:
    """The samples by name and labels, as they stand in the text."""
    lines = service.ask("/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_names_that_callers_make_up_add_one_series(service: InProcess) -> None:
    service.ask("/models/line/predict", rows(1, 2, 3))
    service.ask("/v2/models/line/versions/9.9.9/infer", {"inputs": []})
    before = metrics_of(service)
    for number in range(10_000):
        service.ask(f"/models/no{number}:/predict", rows(1))
    after = metrics_of(service)
    assert set(after) == set(before)
    other = 'streamscore_requests_total{model="other",status="404",version=""}'
    assert after[other] - before[other] == 10_000
    assert after['streamscore_request_rows_total{model="line",version="1.0.0"}'] >= 3
    assert after['streamscore_predict_seconds_count{model="line",version="1.0.0"}'] >= 1
    assert after["streamscore_model_loads_total"] == 1


def test_the_account_of_the_log_is_a_metric(service: InProcess) -> None:
    service.ask("/models/line/predict", rows(1))

    def is_settled() -> bool:
        found = metrics_of(service)
        outcomes = ("logged", "sampled_out", "lost")
        became = sum(found.get(f'streamscore_request_log_requests_total{{outcome="{o}"}}', 0) for o in outcomes)
        answered, waiting = found["streamscore_request_log_answered_total"], found["streamscore_request_log_waiting"]
        assert answered == became + waiting
        return waiting == 0 and answered > 0

    until(is_settled, 10)


def test_a_canary_answers_its_part_of_the_users_each_time(service: InProcess, folder: Path) -> None:
    users = [f"half-{number}" for number in range(60)]

    def versions() -> dict[str, str]:
        return {user: service.ask(f"/predict/{user}", rows(3)).headers["x-model-version"] for user in users}

    found = versions()
    assert found == versions()
    canaries = [user for user, version in found.items() if version == "2.0.0"]
    assert 15 < len(canaries) < 45
    asked = service.ask(f"/predict/{canaries[0]}", rows(3), x_request_id="canary").json()
    assert (asked["version"], asked["predictions"]) == ("2.0.0", [6.0])
    assert service.ask("/predict/lost-1", rows(3)).headers["x-model-version"] == "1.0.0"  # it costs no answer
    until(lambda: [r["trial"] for r in requests_in(folder, "serving") if r["request_id"] == "canary"] == ["canary"], 5)


def test_a_shadow_is_logged_beside_and_compared(service: InProcess, folder: Path, store: Path) -> None:
    for number in range(20):
        answer = service.ask(f"/predict/dark-{number}", rows(number, -1.0), x_request_id=f"dark-{number}")
        assert (answer.status, answer.json()["predictions"]) == (200, [float(number), -1.0])
    assert service.ask("/predict/dark-1", rows("x"), x_request_id="dark-x").status == 400

    def logged(trial: str | None) -> dict[tuple[int, int], str]:
        found = [row for row in requests_in(folder, "serving") if row["request_id"].startswith("dark-")]
        mine = [row for row in found if row["trial"] == trial and row["request_status"] == 200]
        return {(row["request_number"], row["request_row"]): row["prediction"] for row in mine}

    until(lambda: len(logged("shadow")) == 40, 10)
    assert {key: 2 * float(value) for key, value in logged(None).items()} == {
        key: float(value) for key, value in logged("shadow").items()
    }
    found = compare("line", settings(folder, store))
    (shadow,) = found.shadows
    assert (shadow.version, shadow.candidate, shadow.rows, shadow.only_one) == ("1.0.0", "2.0.0", 40, 0)
    assert (shadow.mean_difference, shadow.largest, shadow.equal) == ((190 - 20) / 40, 19.0, 1 / 40)
    assert (shadow.latency.requests, shadow.candidate_latency.requests) == (20, 20)
    assert {(side.trial, side.version) for side in found.canaries} == {("", "1.0.0"), ("canary", "2.0.0")}
    assert json.loads(found.to_json())["shadows"][0]["rows"] == 40
    assert_within(found, limit=10)
    with pytest.raises(ContractError, match=r"v2\.0\.0 differs from v1\.0\.0 by .* wanted at most 1"):
        assert_within(found, limit=1)
    assert metrics_of(service)['streamscore_shadow_requests_total{outcome="asked"}'] == 20
    show(found, Console(file=io.StringIO()))


@pytest.mark.parametrize("version", ["9" * 50, "x" * 257, "2147483648", "%00", "a%0Ab", "-1", "1%2F2"])
def test_a_version_that_no_registry_can_have_is_not_there(service: InProcess, version: str) -> None:
    for path in (f"/models/line/versions/{version}", f"/v2/models/line/versions/{version}/ready"):
        assert service.ask(unquote(path)).status == 404
    for name in ("li%00ne", "x" * 257):
        assert service.ask(unquote(f"/models/{name}")).status == 404


def states(service: InProcess) -> list[tuple[str, str, str]]:
    return [(one["name"], one["version"], one["reason"]) for one in service.ask("/v2/repository/index", {}).json()]


def test_a_store_needs_no_registry_to_list_load_and_unload_its_models(tmp_path: Path, store: Path) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    made = settings(tmp_path, store, "store:/line/^1")
    silent = made.registry.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    with InProcess(create_app(made.model_copy(update={"registry": silent}))) as app:
        until(lambda: app.ask("/v2/health/ready").status == 200, 30)
        assert app.ask("/models").json() == {"models": [{"name": "line", "loaded": True}]}
        for asked, found in (("^1", "1.0.0"), ("latest", "2.0.0"), ("2.0.0", "2.0.0")):
            assert app.ask(f"/models/line/versions/{asked}").json()["version"] == found
        assert states(app) == [("line", "1.0.0", ""), ("line", "2.0.0", "")]
        assert app.ask("/v2/repository/models/line/unload", {}).status == 200
        assert (states(app), app.ask("/models/line/predict", rows(1)).status) == ([("line", "", "unloaded")], 404)
        assert app.ask("/v2/repository/models/line/load", {"parameters": {"config": "{}"}}).status == 400
        assert app.ask("/v2/repository/models/line/load", b"").status == 200
        assert app.ask("/models/line/predict", rows(1)).json()["predictions"] == [1.0]
        assert states(app) == [("line", "1.0.0", "")]


def test_a_running_service_takes_up_the_keys_of_the_file(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    (first, one), (second, other) = new_key("first", ("*",)), new_key("second", ("*",))
    made = settings(tmp_path, store, "store:/line/^1", keys=(json.loads(entry_of(one)),))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "own.yaml"
    file.write_text(f"serving:\n  keys:\n    - {entry_of(one)}\n")
    with InProcess(create_app(made.model_copy(update={"profile": "own"}))) as app:

        def statuses() -> list[int]:
            return [app.ask("/models", x_api_key=key).status for key in (first, second)]

        assert statuses() == [200, 401]
        file.write_text(f"serving:\n  keys:\n    - {entry_of(other)}\n")
        until(lambda: statuses() == [401, 200], 10)


def test_keys_that_come_later_close_the_routes_of_admins(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    made = settings(tmp_path, store, "store:/line/^1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "own.yaml"
    file.write_text("landing: /somewhere\n")
    (key, one), (admin, other) = new_key("one", ("*",)), new_key("admin", admin=True)
    with InProcess(create_app(made.model_copy(update={"profile": "own"}))) as app:
        assert metrics_of(app)["streamscore_requests_at_work"] == 0
        assert app.ask("/v2/repository/models/line/load", {}).status == 200
        file.write_text(f"serving:\n  keys:\n    - {entry_of(one)}\n    - {entry_of(other)}\n")
        until(lambda: app.ask("/metrics").status == 401, 10)
        assert [app.ask("/metrics", x_api_key=each).status for each in (key, admin)] == [403, 200]
        assert app.ask("/v2/repository/models/line/load", {}, x_api_key=key).status == 403


def test_where_there_are_keys_loading_is_for_the_admin_routes(tmp_path: Path, store: Path) -> None:
    (tmp_path / "routes.yaml").write_text(ROUTES)
    key, entry = new_key("all", ("*",))
    made = settings(tmp_path, store, "store:/line/^1", keys=(json.loads(entry_of(entry)),))
    with InProcess(create_app(made)) as app:
        for path in ("/v2/repository/models/line/unload", "/v2/repository/models/line/load"):
            assert app.ask(path, {}).status == 401
            answer = app.ask(path, {}, x_api_key=key)
            assert (answer.status, "serving.admin_port" in answer.json()["error"]) == (403, True)
