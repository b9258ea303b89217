"""The online service with API keys, routes of users and admin routes, over a store without any registry."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from jobs.cli import main
from jobs.serving.access.new_key import entry_of, new_key
from jobs.serving.app import create_app
from schemas.settings import Models, as_variables, load_settings
from services.server import free_port
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.push import Pushed, push
from streamscore.storage.folder import LocalFolder
from tests.support.new_database import new_database
from tests.support.served_app import served
from tests.support.wait import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ADMIN, ADMIN_ENTRY = new_key("admin", admin=True)
ALL, ALL_ENTRY = new_key("all", ("*",))
SUMS, SUMS_ENTRY = new_key("sums", ("sum*",), ("a*",))
ROUTES = "keys: {alice: 'store:/summed/^1', anna: 'store:/doubled/^1', mallory: null, eve: nothing}\n"


def save_model(folder: Path, factor: float) -> Path:
    """A model that multiplies x."""
    import mlflow

    frame = pd.DataFrame({"x": np.array([1.0, 0.0])})
    model = LinearRegression(fit_intercept=False).fit(frame, factor * frame["x"])
    signature = mlflow.models.infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(model, str(folder), signature=signature, serialization_format="skops")
    return folder


def settings_of(folder: Path) -> dict[str, Any]:
    """Settings with routes and admin routes, and a store of two models."""
    (folder / "routes.yaml").write_text(ROUTES)
    store = FolderStore(LocalFolder(folder / "store"))
    for name, factor in (("summed", 1.0), ("doubled", 2.0)):
        push(store, Pushed(save_model(folder / name, factor), name), name, "1.0.0", Models())
    return {
        "registry.tracking_uri": new_database(folder),
        "scratch": str(folder / "scratch"),
        "store.path": str(folder / "store"),
        "routing.routes": str(folder / "routes.yaml"),
        "routing.poll_seconds": 0.1,
        "serving.models": ("store:/summed/^1",),
        "serving.admin_port": free_port(),
    }


class Asked:
    """A service, by the ports that it listens on."""

    def __init__(self, folder: Path, port: int, admin_port: int) -> None:
        self.folder, self.port, self.admin_port = folder, port, admin_port
        self.routes = folder / "routes.yaml"

    def ask(self, path: str, key: str = "", body: Any = None, admin: bool = False, **more: str) -> tuple[int, Any]:
        """Status and answer; JSON is read."""
        headers = {"content-type": "application/json", "accept": more.get("accept", "*/*")}
        headers |= {"authorization": f"Bearer {key}"} if key else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.admin_port if admin else self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=more.get("method"))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, kind, said = answer.status, answer.headers["content-type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, kind, said = error.code, error.headers["content-type"], error.read()
        return status, json.loads(said) if "json" in kind and said.strip() else said

    def predict(self, path: str, key: str = "") -> tuple[int, Any]:
        return self.ask(path, key, {"dataframe_records": [{"x": 3.0}]})

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("/v2/health/ready")[0] == 200
        return False


@pytest.fixture(scope="module", autouse=True)
def _keys() -> Iterator[None]:
    """In the environment, as the service looks for keys again and again."""
    entries = [json.loads(entry_of(entry)) for entry in (ADMIN_ENTRY, ALL_ENTRY, SUMS_ENTRY)]
    with pytest.MonkeyPatch.context() as here:
        for name, value in as_variables("serving", {"keys": entries}).items():
            here.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def settings(folder: Path) -> dict[str, Any]:
    return settings_of(folder)


@pytest.fixture(scope="module")
def server(folder: Path, settings: dict[str, Any]) -> Iterator[Asked]:
    with served(create_app(load_settings("local", settings))) as port:
        asked = Asked(folder, port, settings["serving.admin_port"])
        until(asked.is_ready, 60)
        yield asked


@pytest.mark.parametrize("key", ["", "streamscore_wrong", SUMS[:-1]], ids=["none", "made up", "cut"])
def test_without_a_valid_key_only_the_probes_answer(server: Asked, key: str) -> None:
    for path in ("/ping", "/health", "/v2/health/live", "/v2/health/ready"):
        assert server.ask(path, key)[0] == 200
    for path in ("/models", "/models/summed", "/v2", "/v2/models/summed", "/v2/repository/index", "/version"):
        assert server.ask(path, key)[0] == 401, path
    for path in ("/models/summed/predict", "/invocations", "/v2/models/summed/infer", "/predict/alice"):
        assert server.predict(path, key)[0] == 401, path
    for path in ("/v1/timeseries/forecast", "/models/summed/forecast", "/forecast/alice"):
        assert server.predict(path, key)[0] == 401, path
    assert server.ask("/models/summed/predict", key, bytes(10 * 2**20))[0] == 401  # told before the body is read
    assert "summed" not in json.dumps(server.ask("/openapi.json", key)[1])


def test_a_key_is_for_the_models_of_its_patterns_on_every_route(server: Asked) -> None:
    assert server.predict("/models/summed/predict", SUMS)[1]["predictions"] == [3.0]
    assert server.predict("/invocations", SUMS)[1] == {"predictions": [3.0]}
    forecast = {"model": "doubled", "inputs": [], "options": {}}
    for path, body in (
        ("/models/doubled/predict", {}),
        ("/models/doubled/versions/1.0.0/predict", {}),
        ("/models/doubled/forecast", {}),
        ("/v2/models/doubled/infer", {}),
        ("/v1/timeseries/forecast", forecast),
        ("/predict/anna", {"dataframe_records": [{"x": 3.0}]}),
    ):
        assert server.ask(path, SUMS, body)[0] == 403, path
    for path in ("/models/doubled", "/v2/models/doubled", "/v2/models/doubled/ready"):
        assert server.ask(path, SUMS)[0] == 403, path
    assert server.predict("/models/doubled/versions/1.0.0/predict", ALL)[1]["predictions"] == [6.0]
    for path in ("/models", "/v2/repository/index", "/openapi.json"):
        assert "summed" in json.dumps(server.ask(path, ALL)[1])
        assert "doubled" not in json.dumps(server.ask(path, SUMS)[1])


def test_a_user_is_answered_by_the_model_of_the_route(server: Asked) -> None:
    assert server.predict("/predict/alice", ALL)[1]["predictions"] == [3.0]
    said = server.predict("/predict/anna", ALL)[1]
    assert (said["model"], said["version"], said["predictions"]) == ("doubled", "1.0.0", [6.0])
    statuses = {user: server.predict(f"/predict/{user}", ALL)[0] for user in ("mallory", "eve", "nobody", "x" * 300)}
    assert statuses == {"mallory": 403, "eve": 404, "nobody": 404, "x" * 300: 404}
    assert server.predict("/predict/mallory", SUMS)[0] == 403  # not one of its users
    assert server.predict("/forecast/alice", ALL)[0] == 409  # its model predicts rows


def test_routes_that_change_are_taken_up_without_a_restart(server: Asked) -> None:
    try:
        server.routes.write_text("keys: {alice: 'store:/doubled/^1'}\n")
        until(lambda: server.predict("/predict/alice", ALL)[1]["predictions"] == [6.0], 20)
        server.routes.write_text("keys: [\n")
        time.sleep(0.5)  # looked at five times
        assert server.predict("/predict/alice", ALL)[1]["predictions"] == [6.0]
    finally:
        server.routes.write_text(ROUTES)
        until(lambda: server.predict("/predict/alice", ALL)[1]["predictions"] == [3.0], 20)


def test_the_store_is_behind_an_admin_key_on_a_port_of_its_own(server: Asked) -> None:
    assert server.ask("/store/models", ADMIN)[0] == 404  # not on the other port
    assert server.ask("/store/models", admin=True)[0] == 401
    assert server.ask("/store/models", ALL, admin=True)[0] == 403
    assert server.ask("/store/models/new/1.0.0", ALL, b"", admin=True, method="PUT")[0] == 403
    assert server.predict("/models/summed/predict", ADMIN)[0] == 403  # an admin key asks no model
    status, said = server.ask("/store/models", ADMIN, admin=True)
    assert (status, said["models"][0]) == (200, {"name": "doubled", "versions": ["1.0.0"]})
    assert server.ask("/store/models/summed/^1", ADMIN, admin=True)[1]["version"] == "1.0.0"
    for path in ("nothing", "summed/2.0.0", "summed/x"):
        status, said = server.ask(f"/store/models/{path}", ADMIN, admin=True)
        assert status == 404 and str(server.folder) not in json.dumps(said)


def test_a_version_is_put_taken_out_and_put_again(server: Asked) -> None:
    def tar_of(folder: Path) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            archive.add(folder, ".")
        return file.getvalue()

    def put(path: str, body: bytes) -> tuple[int, Any]:
        return server.ask(f"/store/models/{path}", ADMIN, body, admin=True, method="PUT")

    status, made = put("tripled/1.0.0", tar_of(save_model(server.folder / "tripled", 3.0)))
    assert status == 201 and made["origin"] == "PUT with the key 'admin'"
    assert server.predict("/models/tripled/versions/1.0.0/predict", ALL)[1]["predictions"] == [9.0]
    status, archive = server.ask("/store/models/tripled/1.0.0", ADMIN, admin=True, accept="application/x-tar")
    assert status == 200
    assert put("tripled/1.0.0", archive)[0] == 201  # the same files
    assert put("tripled/1.0.0", tar_of(server.folder / "doubled"))[0] == 409
    for path, body, refused in (
        ("tripled/1.1.0", archive, 409),  # it says that it is 1.0.0
        ("tripled/^1", archive, 400),
        ("tripled/1.1.0", b"no tar", 400),
        ("tripled/1.1.0", archive[:2000], 400),
        ("tripled/1.1.0", tar_of(ROOT / "conf" / "training"), 400),
    ):
        status, said = put(path, body)
        assert status == refused and str(server.folder) not in json.dumps(said), said


def test_a_member_of_an_archive_that_leaves_its_folder_is_refused(server: Asked) -> None:
    for name, kind in (("../outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        assert server.ask("/store/models/bad/1.0.0", ADMIN, file.getvalue(), admin=True, method="PUT")[0] == 400


@pytest.mark.repeats
def test_several_workers_have_the_same_keys_routes_admin_routes_and_loaded_models(
    folder: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    port, admin_port = free_port(), free_port()
    here = {"scratch": str(tmp_path), "serving.port": port, "serving.admin_port": admin_port, "serving.workers": 2}
    given: dict[str, dict[str, Any]] = {}
    for name, value in (settings | here).items():
        block, _, key = name.rpartition(".")
        given.setdefault(block, {})[key] = value
    variables = {"STREAMSCORE_SCRATCH": given.pop("")["scratch"]}
    for block, values in given.items():
        variables |= as_variables(block, values)
    process = subprocess.Popen([sys.executable, "-m", "jobs.cli", "serve"], cwd=ROOT, env=os.environ | variables)
    try:
        two = Asked(folder, port, admin_port)
        until(two.is_ready, 120)
        for _ in range(8):  # connections go to either
            assert two.predict("/predict/alice")[0] == 401
            assert two.predict("/predict/alice", ALL)[1]["predictions"] == [3.0]
            assert two.predict("/predict/anna", SUMS)[0] == 403
            assert two.ask("/store/models", ADMIN, admin=True)[0] == 200
        for asked, statuses in (("unload", {404}), ("load", {200})):
            assert two.ask(f"/v2/repository/models/summed/{asked}", ADMIN, {}, admin=True)[0] == 200
            time.sleep(2)  # the other worker is told within a second
            assert {two.predict("/predict/alice", ALL)[0] for _ in range(16)} == statuses
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_start_that_would_let_others_in_is_refused_with_one_line(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STREAMSCORE_SERVING__KEYS")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--host", host])
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (2, 1)
    assert "streamscore serve-key NAME, or listen on 127.0.0.1" in said
