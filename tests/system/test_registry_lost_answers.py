"""A real MLflow server whose answers get lost or come late: a training still ends with one run and one version."""

import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from schemas.feed import Feed
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from tests.support.mlflow_server import LoopbackMlflow
from tests.support.present import present
from tests.support.proxy import Proxy, Request
from tests.support.register_kit import HOMES, a_candidate
from training.registration.one_run import ATTEMPT
from training.registration.register import accept, register

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [pytest.mark.system, pytest.mark.slow]

TIMEOUT_SECONDS = 2
# Every request by which a training changes MLflow, but those that carry artifacts.
CALLS: tuple[str, ...] = (
    "experiments/create",
    "runs/create",
    "runs/update",
    "runs/log-batch",
    "runs/log-inputs",
    "runs/outputs",
    "logged-models",
    "registered-models/create",
    "registered-models/alias",
    "registered-models/set-tag",
    "model-versions/create",
    "model-versions/set-tag",
    "model-versions/transition-stage",
)


class LateProxy(Proxy):
    """A proxy that lets the first request to some calls wait until MLflow's client has given up on it."""

    late: tuple[str, ...] = ()

    def _made_up(self, request: Request) -> list[bytes]:
        if request.method != "GET" and (call := call_of(request)) in self.late:
            self.late = tuple(other for other in self.late if other != call)
            time.sleep(TIMEOUT_SECONDS + 1)
        return super()._made_up(request)


def call_of(request: Request) -> str:
    """Which of the calls a request is; empty: none of them."""
    path = request.target.partition("?")[0].partition("/mlflow/")[2]
    return next((call for call in CALLS if path.startswith(call)), "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackMlflow]:
    server = LoopbackMlflow(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def proxy(server: LoopbackMlflow, monkeypatch: pytest.MonkeyPatch) -> Iterator[LateProxy]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with contextlib.closing(LateProxy(server.uri)) as made:
        yield made


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """A feed that no other test knows, so that its experiment and its model are made here."""
    name = "homes_" + tmp_path.name.lower().replace("-", "_")
    return Feed.model_validate(yaml.safe_load(HOMES) | {"name": name})


def lose(proxy: Proxy, times: int, calls: Collection[str]) -> Counter[str]:
    """Lose that many answers to each of the calls, which are carried out each time; counts them."""
    lost: Counter[str] = Counter()

    def is_lost(request: Request) -> bool:
        call = call_of(request)
        if request.method == "GET" or call not in calls or lost[call] == times:
            return False
        lost[call] += 1
        return True

    proxy.lost_answers = is_lost
    return lost


def train(feed: Feed, proxy: Proxy) -> Registry:
    """What a training does with MLflow: run, version, candidate, Production."""
    registry = open_registry(load_settings(flags={"registry.tracking_uri": proxy.endpoint}))
    made = register(feed, a_candidate(feed), registry)
    accept(registry, made)
    registry.promote(feed.name, made.version, feed)
    return registry


def assert_one_of_each(feed: Feed, registry: Registry) -> None:
    with registry.connection.reaching() as client:
        assert_one_run_and_model(client, feed)
    (version,) = registry.versions(feed.name)
    assert (version.version, version.stage) == ("1", "Production")
    assert set(version.aliases) == {"candidate", "production"}
    assert registry.resolve(f"models:/{feed.name}@production").has_manifest
    (promotion,) = registry.history(feed.name)
    assert (promotion.version, promotion.previous) == ("1", None)


def assert_one_run_and_model(client: "MlflowClient", feed: Feed) -> None:
    experiment = client.get_experiment_by_name(feed.name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags[ATTEMPT]
    assert (run.data.params, run.data.metrics) == ({"alpha": "0.5"}, {"rmse": 0.1})
    assert len(client.get_metric_history(run.info.run_id, "rmse")) == 1
    assert len(present(run.inputs).dataset_inputs) == 2
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert str(model.status) == "READY" and model.source_run_id == run.info.run_id


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(1, id="the answer", marks=pytest.mark.repeats),
        pytest.param(2, id="the answer to the repetition too", marks=pytest.mark.repeats),
    ],
)
def test_lost_answers_make_nothing_twice(times: int, feed: Feed, proxy: LateProxy) -> None:
    lost = lose(proxy, times, CALLS)
    registry = train(feed, proxy)
    assert lost == dict.fromkeys(CALLS, times)
    assert_one_of_each(feed, registry)


@pytest.mark.repeats
def test_requests_that_are_carried_out_after_their_repetition_make_nothing_twice(
    feed: Feed, proxy: LateProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT_SECONDS))
    proxy.late = CALLS
    registry = train(feed, proxy)
    assert proxy.late == ()
    assert_one_of_each(feed, registry)
