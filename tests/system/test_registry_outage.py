"""A real MLflow server that stops answering: how soon a start gives up, and how soon a running stream says so."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import RegistryError
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.models.watch import ModelWatcher
from streamscore.registry.registry import Registry, open_registry
from streamscore.storage.folder import LocalFolder
from tests.support.mlflow_server import LoopbackMlflow
from tests.support.register_kit import a_version
from tests.support.wait import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
FEED = load_feed("wine_quality")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackMlflow]:
    server = LoopbackMlflow(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def registry(server: LoopbackMlflow) -> Registry:
    flags = {"registry.tracking_uri": server.uri, "models.manifest": "required"}
    registry = open_registry(load_settings(flags=flags))
    a_version(FEED, registry, promote=True)
    return registry


@pytest.mark.repeats
def test_a_stream_tells_within_a_minute_that_the_server_hangs_and_that_it_is_back(
    server: LoopbackMlflow, registry: Registry, tmp_path: Path
) -> None:
    told: list[str] = []
    follower = ModelWatcher(
        "models:/wine_quality@production",
        FEED,
        registry,
        LocalFolder(tmp_path),
        tmp_path,
        lambda kind, *_: told.append(kind),
    )
    follower.start(None, -1, 2.0)
    server.signal(signal.SIGSTOP)
    try:
        seconds = until(lambda: "registry_down" in told, 60)
        assert follower.for_batch(0).version == "1"
        time.sleep(10)
        assert told == ["registry_down"]
    finally:
        server.signal(signal.SIGCONT)
    until(lambda: told == ["registry_down", "registry_up"], 60)
    follower.stop()
    print(f"told after {seconds:.1f} s")


@pytest.mark.repeats
def test_a_start_gives_up_within_thirty_seconds_of_a_server_that_hangs(
    server: LoopbackMlflow, registry: Registry
) -> None:
    server.signal(signal.SIGSTOP)
    try:
        _assert_gives_up(server.uri)
    finally:
        server.signal(signal.SIGCONT)


@pytest.mark.repeats
def test_a_start_gives_up_within_thirty_seconds_of_a_port_that_is_closed() -> None:
    _assert_gives_up("http://127.0.0.1:9")


def _assert_gives_up(uri: str) -> None:
    """Measured without the start of a process, which takes its time on a busy machine."""
    environment = os.environ | {"STREAMSCORE_REGISTRY__TRACKING_URI": uri}
    command = [sys.executable, "-m", "jobs.cli", "promote", "wine_quality", "1"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        begun = time.monotonic()
        with pytest.raises(RegistryError, match=re.escape(uri)):
            open_registry(load_settings(flags={"registry.tracking_uri": uri})).promote("wine_quality", "1", FEED)
        assert time.monotonic() - begun < 30
        said = process.communicate()[1]
    assert process.returncode == 4 and uri in said, said
