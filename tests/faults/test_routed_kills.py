"""A routed feed killed with -9: every row once, and a micro-batch that is repeated has the models that it had."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from schemas.feed import Feed
from streamscore.registry.registry import Registry
from tests.support.oracle import Stream
from tests.support.register_kit import registry_in
from tests.support.routed_kit import assert_exactly_once, feed_of, register, text_of, write_feed, write_routes

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
FEED = feed_of()
WEIGHTS = {("alpha", "1"): 10.0, ("alpha", "2"): 20.0, ("beta", "1"): 30.0, ("beta", "2"): 40.0}
POINTS = ["offset:after", "model_record:before", "model_record:after", "parts:before", "parts:after"]
POINTS += ["quarantine:before", "quarantine:after", "predictions:before", "predictions:after", "spark_commit:before"]
UNRECORDED = POINTS[0], POINTS[1], POINTS[3]
ROUTES = (
    {"keys": {"ann": "alpha", "bob": "beta", "eve": None}},
    {"keys": {"ann": "beta", "bob": {"model": "beta", "canary": {"model": "alpha", "percent": 100}}}},
)

MODELS = {"ann": ("alpha", "beta"), "bob": ("beta", "alpha")}  # by the two tables


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = registry_in(tmp_path)
    for (name, _), weight in WEIGHTS.items():
        register(made, tmp_path, name, weight)
    return made


def put_into_production(registry: Registry, version: str) -> None:
    """Of both models; without the process that tries a version, which takes seconds."""
    with registry.active() as mlflow:
        for name in ("alpha", "beta"):
            mlflow.MlflowClient().set_registered_model_alias(name, "production", version)


@pytest.fixture
def feed() -> Feed:
    """Of `in_bucket`."""
    return FEED


@pytest.mark.parametrize(
    ("points", "mode"),
    [
        pytest.param(["quarantine:after"], "driver", id="short", marks=pytest.mark.repeats),
        pytest.param(
            ["model_record:after", "predictions:after"], "executors", id="executors", marks=pytest.mark.repeats
        ),
        pytest.param(POINTS, "driver", id="all", marks=pytest.mark.faults_long),
        pytest.param(POINTS, "executors", id="all-executors", marks=pytest.mark.faults_long),
    ],
)
def test_a_kill_loses_and_doubles_no_row_and_changes_no_model(
    tmp_path: Path, registry: Registry, points: Sequence[str], mode: str
) -> None:
    stream = Stream(tmp_path, FEED, registry.tracking_uri, mode=mode)
    stream.landing.mkdir()
    kill_at_each(points, stream, tmp_path, registry)


@pytest.mark.system
@pytest.mark.repeats
def test_neither_does_one_with_everything_in_a_bucket(
    tmp_path: Path, registry: Registry, in_bucket: Callable[..., Stream]
) -> None:
    points = ["quarantine:after", "model_record:after"]
    kill_at_each(points, in_bucket(registry.tracking_uri, "checkpoint"), tmp_path, registry)


def kill_at_each(points: Sequence[str], stream: Stream, root: Path, registry: Registry) -> None:
    """Each kill promotes the other versions and changes the routes, which the micro-batch after it takes up."""
    write_feed(FEED, root)
    routes = root / "routes.yaml"
    stream.environment |= {"PYTHONPATH": str(ROOT), "STREAMSCORE_ROUTING__ROUTES": str(routes)}
    stream.cwd = root

    def change(number: int) -> None:
        write_routes(routes, ROUTES[number % 2])
        put_into_production(registry, str(1 + number % 2))

    killed: dict[int, tuple[str, int]] = {}
    try:
        change(0)
        for number, point in enumerate(points):
            for file in (2 * number, 2 * number + 1):
                rows = [(("ann", "bob", "eve")[row % 3], float(row), float(file)) for row in range(30)]
                stream.put(f"{file:03}.csv", text_of(rows))
            # the interrupted one is run again, the next one records the change, the one after it is killed; a kill
            # at the record itself comes with the first that records something
            batch, records = stream.newest_batch + 2 if number else 0, point.startswith("model_record")
            stream.start(fail_at=point if records else f"{point}:{batch}", max_files=1)
            assert stream.wait() == -9, f"{point} was not reached:\n{stream.log()[-2000:]}"
            killed[stream.newest_batch if records else batch] = point, number % 2
            change(number + 1)
        stream.run(max_files=1)
    finally:
        stream.kill()
    predictions = stream.table("predictions")
    assert_exactly_once(stream.landed, predictions, stream.table("quarantine"), WEIGHTS)
    for (batch, customer), rows in predictions.groupby(["batch_id", "customer"]):
        found = set(zip(rows.model_name, rows.model_version, strict=True))
        assert len(found) == 1
        point, which = killed.get(batch, ("", 0))
        if point not in ("", *UNRECORDED):
            assert found == {(MODELS[customer][which], str(1 + which))}, (batch, point)
