"""For the whole test run: one Spark session, one trained model, one set of servers."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as of_hypothesis

from schemas.feed import Feed, load_feed
from schemas.settings import Storage, load_settings
from services.mlflow_server import MlflowServer
from services.object_store import REGION, ObjectStore
from services.start import KINDS
from tests.support.fixture_types import Bucket, Trained
from tests.support.needs import AskedServices, insist, mark_items, needs_of
from tests.support.new_database import SHARED
from tests.support.oracle import Oracle, Stream

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling


# so that a failed `assert` of theirs shows both sides
pytest.register_assert_rewrite(*(f"tests.support.{name}_contract" for name in ("finding", "journal", "replay")))

SLOW = ("system", "spark", "faults", "trains", "slow")
MEMORY_OF_WORKER = 4 << 30  # bytes: two Pythons with MLflow and two JVMs

# other work on the machine makes an example slow, and no test wrong
of_hypothesis.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
of_hypothesis.register_profile("fast", of_hypothesis.get_profile("tests"), max_examples=10)  # `make test-fast`
of_hypothesis.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="random kills -9 in `make faults`")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: two for each processor, as a stream that starts mostly waits; fewer where memory is short."""
    if config.option.numprocesses == "logical":
        return os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(2 * (os.cpu_count() or 1), memory // MEMORY_OF_WORKER))


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadFileScheduling":
    from tests.support.scheduling import FilesWithTwoSessions

    return FilesWithTwoSessions(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked `both_stores` runs on each kind of object store."""
    if metafunc.definition.get_closest_marker("both_stores"):
        metafunc.parametrize("object_store", KINDS, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_items(items)
    slow = {item.path for item in items if any(item.get_closest_marker(name) for name in SLOW)}
    items.sort(key=lambda item: item.path not in slow)  # files with them first, so that none is the last to end


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    insist(needs_of(item))


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the machine reaches the tests; one variable says where what a run makes once is."""
    for name in [name for name in os.environ if name.startswith(("STREAMSCORE_", "MLFLOW_", "AWS_", "SPARK_"))]:
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A test that configures the log does it for itself alone: its standard error is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    """A session as a run starts it, with Delta for reading what it wrote."""
    from streamscore.spark.session import start_session

    warehouse = str(tmp_path_factory.mktemp("warehouse"))
    conf = {"spark.sql.warehouse.dir": warehouse, "spark.sql.streaming.stopTimeout": "20s"}
    settings = load_settings(flags={"tables.writer": "delta-spark", "spark.master": "local[2]", "spark.conf": conf})
    before = set(os.environ)
    session = start_session(settings, "tests")
    for name in set(os.environ) - before:  # of this session's, and no matter of the processes that tests start
        del os.environ[name]
    yield session
    session.stop()


@pytest.fixture(scope="session")
def feed() -> Feed:
    return load_feed("wine_quality")


@pytest.fixture(scope="session")
def wine_registry(tmp_path_factory: pytest.TempPathFactory, feed: Feed) -> Callable[[], Trained]:
    """Makes registries with the three versions: copies of one, which one worker of the run makes for all."""
    from tests.support.shared_registry import copy_of, made_once

    shared = made_once(Path(os.environ[SHARED]), feed)
    return lambda: copy_of(shared, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def trained(wine_registry: Callable[[], Trained]) -> Trained:
    """The registry of most tests; each worker has its own."""
    return wine_registry()


@pytest.fixture
def stream(tmp_path: Path, feed: Feed, trained: Trained, promote: Callable[[str], None]) -> Iterator[Stream]:
    """With version 1 in Production, whatever the test before this one promoted."""
    made = Stream(tmp_path, feed, trained.uri)
    made.landing.mkdir()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def oracle(feed: Feed, trained: Trained) -> Oracle:
    return Oracle(feed, trained.registry)


@pytest.fixture
def promote(trained: Trained, feed: Feed) -> Callable[[str], None]:
    """Put a version of wine_quality into Production."""

    def into_production(version: str) -> None:
        trained.registry.promote(feed.name, version, feed)

    into_production("1")
    return into_production


@pytest.fixture(scope="session")
def services(_own_settings: None) -> Iterator[AskedServices]:
    """Where servers are started; their credentials are in the environment. All of them end with the test run."""
    # Not pytest's own folder, which nobody else may enter: PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="streamscore-services-") as folder:
        os.chmod(folder, 0o711)
        with AskedServices(Path(folder)) as started:
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = started.keys
            yield started


@pytest.fixture(scope="session")
def object_store(request: pytest.FixtureRequest, services: AskedServices) -> ObjectStore:
    """MinIO; in a test marked `both_stores`, each kind in turn."""
    return services.object_store(getattr(request, "param", "minio"))


@pytest.fixture
def bucket(object_store: ObjectStore) -> Bucket:
    made = Bucket(f"test-{uuid.uuid4().hex[:12]}", object_store)
    object_store.make_bucket(made.name)
    return made


@pytest.fixture
def storage(object_store: ObjectStore) -> Storage:
    """The settings by which `object_store` is reached."""
    return Storage(endpoint=object_store.endpoint, region=REGION, path_style=True)


@pytest.fixture(scope="session")
def mlflow_server(object_store: ObjectStore, services: AskedServices) -> MlflowServer:
    """`mlflow server` on PostgreSQL, its artifacts in the bucket `mlflow` of `object_store`."""
    return services.mlflow_server(object_store, "mlflow")
