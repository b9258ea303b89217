"""Killed with -9 anywhere, started again: every row once, the right values."""

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.fault_report import Report
from tests.support.oracle import Oracle, Stream, Tally

pytestmark = pytest.mark.faults

POINTS = ["offset", "model_record", "parts", "quarantine", "predictions", "spark_commit", "ledger", "archive"]
SIDES = ["before", "after"]


ALL = list(itertools.product(POINTS, SIDES))
# a start is 9 s of processor time and 14 s of waiting: one side of each point, and both of what decides
SHORT = [("predictions", "after")] + [(point, SIDES[number % 2]) for number, point in enumerate(POINTS)]
WRITING = [("parts", "after"), ("predictions", "before")]
DECIDING = ("predictions", "before"), ("predictions", "after")


@pytest.mark.parametrize(
    ("writer", "in_driver", "on_executors"),
    [
        pytest.param("delta-rs", DECIDING[1:], [], id="deciding"),
        pytest.param("delta-rs", [], DECIDING[:1], id="deciding-on-executors", marks=pytest.mark.repeats),
        pytest.param("delta-rs", SHORT, WRITING, id="short", marks=pytest.mark.repeats),
        pytest.param("delta-rs", ALL, ALL, id="delta-rs", marks=pytest.mark.faults_long),
        pytest.param("delta-spark", ALL, ALL, id="delta-spark", marks=pytest.mark.faults_long),
    ],
)
def test_a_kill_at_each_fail_point_loses_and_doubles_nothing(
    tmp_path: Path,
    stream: Stream,
    oracle: Oracle,
    promote: Callable[[str], None],
    writer: str,
    in_driver: Sequence[tuple[str, str]],
    on_executors: Sequence[tuple[str, str]],
) -> None:
    """Streams at once, as most of a start is waiting: two share the kills in the driver, if there are two."""

    def another(mode: str, clean: str) -> Stream:
        made = Stream(tmp_path / f"{mode}-{clean}", stream.feed, stream.registry_uri, clean, mode, writer)
        made.landing.mkdir(parents=True)
        return made

    chains = [
        (another(mode, clean), points)
        for mode, clean, points in (
            ("driver", "archive", in_driver[::2]),
            ("driver", "delete", in_driver[1::2]),
            ("executors", "delete", on_executors),
        )
        if points
    ]
    one_at_a_time = threading.Lock()

    def kill_at(place: Stream, points: Sequence[tuple[str, str]]) -> None:
        try:
            for number, (point, side) in enumerate(points):
                with one_at_a_time:
                    place.land(files=3, rows=20, seed=number)
                    promote(another_version(place))
                    if point == "model_record":  # reached only where nobody else promotes meanwhile
                        kill_once(place, point, side)
                if point != "model_record" and (point, side) != ("spark_commit", "after"):  # that is ledger:before
                    kill_once(place, point, side)
            place.run()
        finally:
            place.kill()

    with ThreadPoolExecutor(len(chains)) as pool:
        for done in [pool.submit(kill_at, *chain) for chain in chains]:
            done.result()
    for place, _ in chains:
        oracle.assert_exactly_once(place)
        assert oracle.tally(place) == Tally(0, 0)
    versions = {v for place, _ in chains for v in place.table("predictions").model_version}
    assert len(versions) >= min(3, max(len(points) for _, points in chains))  # each kill promotes another of the three


def another_version(stream: Stream) -> str:
    """Another one than the stream recorded last, so that it will record it."""
    journal = stream.checkpoint / "models.jsonl"
    last = json.loads(journal.read_text().splitlines()[-1])["version"] if journal.exists() else "3"
    return str(1 + int(last) % 3)


def kill_once(stream: Stream, point: str, side: str) -> None:
    """The interrupted batch is run again, the next one is the promoted version's, the one after it is killed.

    Of a new checkpoint it is the first one, which a start commits without a replay.
    """
    newest = stream.newest_batch
    batch = newest + (1 if point == "model_record" or newest < 0 else 2)
    where = f"{point}:{side}" + (f":{batch}" if point != "archive" else "")
    stream.start(fail_at=where, max_files=1)
    assert stream.wait() == -9, f"{where} was not reached:\n{stream.log()[-2000:]}"


@pytest.mark.faults_long
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


@pytest.mark.faults_long
@pytest.mark.system
def test_random_kills_lose_and_double_nothing(
    stream: Stream,
    in_bucket: Callable[..., Stream],
    oracle: Oracle,
    report: Report,
    promote: Callable[[str], None],
    request: pytest.FixtureRequest,
) -> None:
    """Three streams at once: most of a start is waiting."""
    kills = request.config.getoption("--kills")
    streams = {
        "kill -9 at random, folders": stream,
        "kill -9 at random, landing and tables in a bucket": in_bucket(stream.registry_uri, name="tables"),
        "kill -9 at random, checkpoint in the bucket too": in_bucket(stream.registry_uri, "checkpoint", name="all"),
    }
    one_at_a_time = threading.Lock()

    def kill_again_and_again(fault: str, place: Stream, chance: random.Random) -> None:
        seconds = []
        for number in range(-(-kills // len(streams))):
            with one_at_a_time:
                place.land(files=10, rows=20, seed=number)
                promote(str(chance.randint(1, 3)))
            place.clean = ("off", "archive", "delete")[number % 3]
            commits, begun = place.newest("commits"), time.monotonic()
            place.start(max_files=1)
            place.until_newer("commits", commits)
            seconds.append(time.monotonic() - begun)
            time.sleep(chance.random() * 0.5)
            place.kill()
        place.run()
        for one in seconds[:-1]:
            report.add(fault, Tally(0, 0), one)
        report.add(fault, oracle.tally(place), seconds[-1])

    with ThreadPoolExecutor(len(streams)) as all_at_once:
        chains = [
            all_at_once.submit(kill_again_and_again, fault, place, random.Random(number))
            for number, (fault, place) in enumerate(streams.items())
        ]
        try:
            for chain in chains:
                chain.result()
        finally:
            for place in streams.values():
                place.kill()
    for place in streams.values():
        oracle.assert_exactly_once(place)
