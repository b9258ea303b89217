"""Killed with -9 anywhere, started again: every row once, the right values."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from oracle import Oracle, Stream

pytestmark = pytest.mark.faults

POINTS = ["offset", "model_record", "parts", "quarantine", "predictions", "spark_commit", "ledger", "archive"]
SIDES = ["before", "after"]


ALL = list(itertools.product(POINTS, SIDES))
WRITING = [("parts", "before"), ("parts", "after"), ("predictions", "before")]


@pytest.mark.parametrize(
    ("writer", "on_executors"),
    [
        pytest.param("delta-rs", WRITING, id="short"),
        pytest.param("delta-rs", ALL, id="delta-rs", marks=pytest.mark.faults_long),
        pytest.param("delta-spark", ALL, id="delta-spark", marks=pytest.mark.faults_long),
    ],
)
def test_a_kill_at_each_fail_point_loses_and_doubles_nothing(
    tmp_path: Path,
    stream: Stream,
    oracle: Oracle,
    promote: Callable[[str], None],
    writer: str,
    on_executors: list[tuple[str, str]],
) -> None:
    """Both modes at once: a start is 9 s of processor time and 14 s of waiting."""
    other = Stream(tmp_path / "other", stream.feed, stream.registry_uri)
    other.landing.mkdir(parents=True)
    stream.mode, stream.clean = "driver", "archive"
    other.mode, other.clean = "executors", "delete"
    stream.writer = other.writer = writer
    one_at_a_time = threading.Lock()

    def kill_at(place: Stream, points: list[tuple[str, str]]) -> None:
        try:
            for number, (point, side) in enumerate(points):
                with one_at_a_time:
                    place.land(files=3, rows=20, seed=number)
                    promote(str(1 + number % 3))
                if (point, side) != ("spark_commit", "after"):  # what happens there next is ledger:before
                    kill_once(place, point, side)
            place.run()
        finally:
            place.kill()

    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(kill_at, stream, ALL), both.submit(kill_at, other, on_executors)]:
            done.result()
    for place in (stream, other):
        oracle.assert_exactly_once(place)
    assert set(stream.table("predictions").model_version) == {"1", "2", "3"}


def kill_once(stream: Stream, point: str, side: str) -> None:
    """The interrupted batch is run again, the next one is the promoted version's, the one after it is killed."""
    batch = stream.newest_batch + (1 if point == "model_record" else 2)
    where = f"{point}:{side}" + (f":{batch}" if point != "archive" else "")
    stream.start(fail_at=where, max_files=1)
    assert stream.wait() == -9, f"{where} was not reached:\n{stream.log()[-2000:]}"


def test_batches_whose_commit_log_is_gone_are_not_scored_again(stream: Stream, oracle: Oracle) -> None:
    stream.land(files=6, rows=20, seed=1)
    stream.run()
    for batch in (1, 2):
        (stream.checkpoint / "commits" / str(batch)).unlink()
        (stream.checkpoint / "commits" / f".{batch}.crc").unlink(missing_ok=True)
    stream.land(files=2, rows=20, seed=2)
    stream.run()
    oracle.assert_exactly_once(stream)


def test_a_lost_checkpoint_is_refused_and_recovered_from_the_tables(stream: Stream, oracle: Oracle) -> None:
    stream.land(files=6, rows=20, seed=1)
    stream.start(fail_at="predictions:before:2")  # a crash between the two commits
    assert stream.wait() == -9
    stream.checkpoint.rename(stream.root / "lost")
    stream.start(trigger="available-now")
    assert stream.wait() == 5
    assert "--recover" in stream.log()
    stream.land(files=2, rows=20, seed=2)
    stream.run("--recover")
    oracle.assert_exactly_once(stream)


@pytest.mark.parametrize("kills", [5, pytest.param(None, marks=pytest.mark.faults_long)])
def test_random_kills_lose_and_double_nothing(
    stream: Stream, oracle: Oracle, promote: Callable[[str], None], request: pytest.FixtureRequest, kills: int | None
) -> None:
    chance = random.Random(0)
    for number in range(kills or request.config.getoption("--kills")):
        stream.land(files=10, rows=20, seed=number)
        stream.clean = ("off", "archive", "delete")[number % 3]
        batches = len(list((stream.checkpoint / "commits").glob("[0-9]*")))
        stream.start(max_files=1)
        stream.until(lambda before=batches: len(list((stream.checkpoint / "commits").glob("[0-9]*"))) > before)
        promote(str(chance.randint(1, 3)))
        time.sleep(chance.random() * 0.3)
        stream.kill()
    stream.run()
    oracle.assert_exactly_once(stream)
