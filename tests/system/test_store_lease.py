"""One driver a checkpoint, shown with real processes that are killed, paused and started many at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import StorageError, TryAgainError
from schemas.settings import Storage
from services.object_store import ObjectStore
from streamscore.storage import lease
from streamscore.storage.bucket import BucketFolder
from tests.support.fixture_types import Bucket
from tests.support.wait import HANG_SECONDS

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]

# Takes the lease and says so on stdout, one JSON line an event; holds it until stdin ends, then releases it.
DRIVER = """
import json, os, sys, time
import structlog
from streamscore.storage import lease
from streamscore.storage.places import open_folder
from schemas.errors import StorageError, TryAgainError
from streamscore.storage.object_store import reaching
from schemas.settings import Storage

def say(**event):
    line = json.dumps(event | {"pid": os.getpid(), "at": time.monotonic()})
    os.write(1, line.encode() + bytes([10]))  # whole, beside those of other processes

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
given = json.loads(sys.argv[1])
for name, value in given["constants"].items():
    setattr(lease, name, value)
folder = open_folder(given["folder"], Storage.model_validate(given["storage"]))

def drive(hold, crash=False):
    try:
        taken = folder.take_lease("wine", lambda holder: say(event="lost", holder=holder))
    except TryAgainError as error:
        return say(event="refused", error=str(error))
    say(event="taken")
    hold()
    try:
        taken.assert_held()
        say(event="ending", held=True)
    except StorageError:  # what a batch would meet that is committed now
        say(event="ending", held=False)
    if crash:
        os._exit(9)
    taken.release()
    say(event="released")

if given["waves"]:
    with reaching(Storage.model_validate(given["storage"]), ""):
        pass  # 0.3 s of processor time; the client has no connection yet
    for wave in range(given["waves"]):
        for _ in range(10):
            if not os.fork():
                drive(lambda: time.sleep(0.3), crash=wave % 2 == 0)
                os._exit(0)
        for _ in range(10):
            os.wait()
else:
    drive(sys.stdin.read)
"""

SHORT = {"RENEW_SECONDS": 0.3, "HELD_SECONDS": 1.8, "EXPIRE_SECONDS": 3.0, "POLL_SECONDS": 0.3}


class Driver:
    """A process that takes the lease."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, json.dumps(given)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def event(self) -> dict[str, Any]:
        """The next event; waits for it."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def rest(self) -> list[dict[str, Any]]:
        """All events to the process's end, which is asked for."""
        return [json.loads(line) for line in self.process.communicate()[0].splitlines()]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        with self.process:
            self.process.kill()


Drive = Callable[..., Driver]


@pytest.fixture
def start() -> Iterator[Callable[[dict[str, Any]], Driver]]:
    """Starts drivers, all of which end with the test."""
    started: list[Driver] = []

    def start_one(given: dict[str, Any]) -> Driver:
        started.append(Driver(given))
        return started[-1]

    yield start_one
    for one in started:
        one.close()


@pytest.fixture
def drive(bucket: Bucket, storage: Storage, start: Callable[[dict[str, Any]], Driver]) -> Drive:
    """Starts a driver on the checkpoint of the test."""

    def drive_one(constants: dict[str, float] = SHORT, waves: int = 0) -> Driver:
        given = {"folder": f"{bucket.uri}/checkpoint", "storage": storage.model_dump(), "constants": constants}
        return start(given | {"waves": waves})

    return drive_one


@pytest.mark.slow
def test_a_second_driver_is_refused_and_follows_one_that_was_killed(drive: Drive) -> None:
    """With the real times."""
    first = drive({})
    assert first.event()["event"] == "taken"
    refused = drive({}).event()
    assert refused["event"] == "refused"
    assert f"is in use by process {first.process.pid} on " in refused["error"]
    assert "streamscore status wine" in refused["error"]
    first.signal(signal.SIGKILL)
    began = time.monotonic()
    assert drive({}).event()["event"] == "taken"
    assert 15 < time.monotonic() - began < HANG_SECONDS


@pytest.mark.slow
@pytest.mark.both_stores
def test_a_lease_goes_from_one_to_the_next(drive: Drive) -> None:
    """Given back, it is taken at once; of one that was killed, after its time; and is refused in between."""
    first = drive()
    assert first.event()["event"] == "taken"
    assert f"process {first.process.pid} " in drive().event()["error"]
    assert [one["event"] for one in first.rest()] == ["ending", "released"]
    second = drive(SHORT | {"EXPIRE_SECONDS": 3600.0})
    assert second.event()["event"] == "taken"
    second.signal(signal.SIGKILL)
    killed = time.monotonic()
    third = drive()
    assert third.event()["at"] - killed > SHORT["EXPIRE_SECONDS"] - SHORT["RENEW_SECONDS"]
    assert f"process {third.process.pid} " in drive().event()["error"]


def test_who_waits_for_a_driver_that_ends_takes_over_from_it(drive: Drive) -> None:
    first = drive(SHORT | {"RENEW_SECONDS": 3600.0})
    assert first.event()["event"] == "taken"
    second = drive(SHORT | {"EXPIRE_SECONDS": 3600.0})
    time.sleep(3)
    assert second.process.poll() is None  # it watches
    assert first.process.stdin
    first.process.stdin.close()
    assert second.event()["event"] == "taken"


def test_a_paused_driver_learns_that_another_took_over(drive: Drive) -> None:
    paused = drive()
    assert paused.event()["event"] == "taken"
    paused.signal(signal.SIGSTOP)
    second = drive()
    assert second.event()["event"] == "taken"
    paused.signal(signal.SIGCONT)
    lost = paused.event()
    assert lost["event"] == "lost" and f"process {second.process.pid} " in lost["holder"]
    assert [one["event"] for one in paused.rest()] == ["ending", "released"]
    assert [one["event"] for one in second.rest()] == ["ending", "released"]  # not taken from it in return


@pytest.mark.slow
@pytest.mark.both_stores
def test_of_many_starts_never_two_hold_it(drive: Drive) -> None:
    """Ten at a time; in every other wave, who holds it ends without giving it back."""
    assert_one_at_a_time(drive(waves=5).rest(), starts=50, least=5)


def assert_one_at_a_time(events: list[dict[str, Any]], starts: int, least: int) -> None:
    taken = {event["pid"]: event["at"] for event in events if event["event"] == "taken"}
    assert len(taken) + sum(event["event"] == "refused" for event in events) == starts
    # a process that a busy machine stopped for longer than the lease lost it, and would commit nothing
    spans = sorted((taken[event["pid"]], event["at"]) for event in events if event.get("held"))
    assert len(spans) >= least
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans)), spans


def test_a_local_lock_is_of_one_process_and_ends_with_it(
    tmp_path: Path, start: Callable[[dict[str, Any]], Driver]
) -> None:
    given = {"folder": str(tmp_path), "storage": {}, "constants": {}, "waves": 0}
    first = start(given)
    assert first.event()["event"] == "taken"
    refused = start(given).event()
    assert f"checkpoint {tmp_path} is in use by process {first.process.pid} on " in refused["error"]
    first.signal(signal.SIGKILL)
    first.process.wait()
    second = start(given)
    assert second.event()["event"] == "taken"
    assert [one["event"] for one in second.rest()] == ["ending", "released"]
    assert_one_at_a_time(start(given | {"waves": 5}).rest(), starts=50, least=5)


@pytest.fixture
def held(bucket: Bucket, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, list[str]]]:
    """A lease that is renewed ten times a second, and who it was lost to."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    lost: list[str] = []
    taken = BucketFolder(f"{bucket.uri}/checkpoint", storage).take_lease("wine", lost.append)
    yield taken, lost
    taken.release()


def test_a_driver_whose_store_does_not_say_who_took_over_learns_it_all_the_same(
    held: tuple[Any, list[str]], bucket: Bucket, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, lost = held
    names, asked = one._folder.names, list[str]()

    def answers_the_third_time(under: str = "") -> list[str]:
        asked.append(under)
        if len(asked) < 3:
            msg = "no answer"
            raise StorageError(msg)
        return names(under)

    monkeypatch.setattr(one._folder, "names", answers_the_third_time)
    object_store.client.put_object(Bucket=bucket.name, Key="checkpoint/lease/000000002", Body=b'{"holder": "another"}')
    one._thread.join(HANG_SECONDS)
    assert lost == ["another"]
    with pytest.raises(StorageError, match="nothing is committed"):
        one.assert_held()


def test_a_driver_that_slept_through_two_others_learns_it(
    held: tuple[Any, list[str]], bucket: Bucket, object_store: ObjectStore
) -> None:
    """The objects between its own and the newest are gone by then."""
    one, lost = held
    object_store.client.put_object(Bucket=bucket.name, Key="checkpoint/lease/000000003", Body=b'{"holder": "third"}')
    one._thread.join(HANG_SECONDS)
    assert lost == ["third"]


def test_a_holder_that_writes_while_it_is_followed_keeps_its_follower_out(
    bucket: Bucket, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had stood still for so long that the other created the next object at the same moment."""
    for name in ("EXPIRE_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(lease, name, 0.1)
    folder = BucketFolder(f"{bucket.uri}/checkpoint", storage)
    folder.write("lease/000000001", b'{"holder": "one that stood still"}')
    create = BucketFolder.create

    def create_late(self: BucketFolder, name: str, data: bytes) -> bool:
        folder.write("lease/000000001", b'{"holder": "one that stood still", "renewed": 1}')
        return create(self, name, data)

    monkeypatch.setattr(BucketFolder, "create", create_late)
    with pytest.raises(TryAgainError, match="in use by one that stood still"):
        folder.take_lease("wine", lambda _: None)


def test_one_object_is_left_of_many_leases(bucket: Bucket, storage: Storage) -> None:
    folder = BucketFolder(f"{bucket.uri}/checkpoint", storage)
    for _ in range(3):
        folder.take_lease("wine", lambda _: None).release()
    assert folder.names("lease") == ["000000003"]
