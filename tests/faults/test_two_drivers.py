"""Two drivers of one feed at once, which the lease prevents: without it a conflict ends one, each row is in once."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Oracle, Stream
from tests.support.wait import until

pytestmark = [pytest.mark.faults, pytest.mark.system]


PLACES = ("landing", "tables", "checkpoint")
FOLDER = pytest.param("folder", marks=pytest.mark.faults_long)
BUCKET = pytest.param("bucket", marks=pytest.mark.needs("minio"))


@pytest.mark.parametrize("place", [FOLDER, BUCKET])
def test_two_drivers_held_at_one_micro_batch_lose_and_double_nothing(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    stream: Stream,
    trained: Any,
    oracle: Oracle,
    place: str,
) -> None:
    if place == "bucket":
        stream = request.getfixturevalue("in_bucket")(trained.uri, "checkpoint")
    stream.environment["STREAMSCORE_STREAMING__LEASE"] = "false"
    other = replace(stream, root=tmp_path / "other", landed=stream.landed, places={n: stream.place(n) for n in PLACES})
    other.root.mkdir()
    stream.land(files=3, rows=20, seed=0)
    # else one of them ends before: where a second driver writes the same offset, or the same record of the model
    stream.start(fail_at="parts:after", max_files=2)
    assert stream.wait() == -9
    gate = tmp_path / "gate"

    def waiting(drivers: int) -> bool:
        return len(list(tmp_path.glob("gate.*"))) == drivers

    try:
        # one after the other: of two that put their rejects at the same moment, a conflict ends one before the gate
        for number, driver in enumerate((stream, other), start=1):
            driver.start(fail_at=f"predictions:before::{gate}", max_files=2)
            driver.until(partial(waiting, number))
            assert stream.process is not None and stream.process.poll() is None, stream.log()[-3000:]
        # both have scored the same micro-batch, and neither has committed it
        stream.land(files=3, rows=20, seed=1)
        gate.touch()
        until(lambda: any(d.process and d.process.poll() is not None for d in (stream, other)))
        (winner,) = [d for d in (stream, other) if d.process and d.process.poll() is None]
        (loser,) = [d for d in (stream, other) if d is not winner]
        assert loser.wait() in (5, 75), loser.log()[-2000:]
        assert "driver" in loser.log() or "--recover" in loser.log()
        winner.until(lambda: oracle.tally(stream).lost == 0)
    finally:
        stream.kill()
        other.kill()
    stream.environment["STREAMSCORE_STREAMING__LEASE"] = "true"
    stream.land(files=2, rows=20, seed=2)
    # what two drivers wrote over each other's checkpoint is either whole or refused with the way out
    stream.start(trigger="available-now")
    if stream.wait() != 0:
        assert "--recover" in stream.log()
        stream.run("--recover")
    oracle.assert_exactly_once(stream)


@pytest.mark.repeats
def test_drivers_with_a_checkpoint_each_over_the_same_tables_score_each_file_once(
    tmp_path: Path, stream: Stream, oracle: Oracle
) -> None:
    """Two replicas that start at once, then a recovery beside the one that got the tables."""
    shared = {name: stream.place(name) for name in ("landing", "tables")}
    others = [replace(stream, root=tmp_path / name, landed=stream.landed, places=shared) for name in ("b", "c")]
    for other in others:
        other.root.mkdir()
    stream.land(files=2, rows=20, seed=0)
    replicas = [stream, others[0]]
    try:
        for driver in replicas:
            driver.start()
        until(lambda: any(d.process and d.process.poll() is not None for d in replicas))
        (refused,) = [d for d in replicas if d.process and d.process.poll() is not None]
        (owner,) = [d for d in replicas if d is not refused]
        assert refused.wait() == 75 and "belongs to checkpoint" in refused.log(), refused.log()[-2000:]
        owner.until(lambda: oracle.tally(stream).lost == 0)
        others[1].start("--recover")
        others[1].until(lambda: "stream started" in others[1].log())
        stream.land(files=2, rows=20, seed=1)
        assert owner.wait() == 75 and "taken over by checkpoint" in owner.log(), owner.log()[-2000:]
        others[1].until(lambda: oracle.tally(stream).lost == 0)
        others[1].until(lambda: list(stream.table("quarantine").reason).count("missing_column") == 2)  # whole files
    finally:
        for driver in (stream, *others):
            driver.kill()
    oracle.assert_exactly_once(stream)
