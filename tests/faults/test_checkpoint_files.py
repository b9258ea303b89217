"""Files of a checkpoint that are gone: the stream says so and goes on from the tables, or was not hurt."""

import shutil
from collections.abc import Callable

import pytest

from tests.support.oracle import Oracle, Stream

pytestmark = pytest.mark.faults


def newest_offset(stream: Stream) -> None:
    _unlink(stream, f"offsets/{stream.newest('offsets')}")


def newest_commit(stream: Stream) -> None:
    _unlink(stream, f"commits/{stream.newest('commits')}")


def offset_of_the_newest_commit(stream: Stream) -> None:
    """As above, but Spark does not know of the micro-batch either."""
    newest_offset(stream)
    newest_commit(stream)


def source_log(stream: Stream) -> None:
    _unlink(stream, "ledger.jsonl")


def half_of_the_source_log(stream: Stream) -> None:
    ledger = stream.checkpoint / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[: len(lines) // 2]))


def metadata(stream: Stream) -> None:
    _unlink(stream, "metadata")


def identity(stream: Stream) -> None:
    _unlink(stream, "streamscore.json")


def everything(stream: Stream) -> None:
    shutil.rmtree(stream.checkpoint)


LONG = [source_log, everything, newest_commit, offset_of_the_newest_commit, half_of_the_source_log, metadata, identity]


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(newest_offset, marks=pytest.mark.repeats),
        *(pytest.param(lose, marks=pytest.mark.faults_long) for lose in LONG),
    ],
    ids=lambda lose: lose.__name__,
)
def test_a_checkpoint_that_lost_files_costs_no_row(
    stream: Stream, oracle: Oracle, recovers: Callable[..., None], lose: Callable[[Stream], None]
) -> None:
    stream.land(files=4, rows=20, seed=0)
    stream.run(max_files=1)
    lose(stream)
    stream.land(files=2, rows=20, seed=1)
    stream.start(max_files=1)
    if lose is not newest_commit:  # there the tables say that the micro-batch is in
        assert stream.wait() in (5, 75)
        assert "--recover" in stream.log()
        stream.start("--recover")
    recovers(f"checkpoint: {lose.__name__.replace('_', ' ')} lost", stream)
    stream.kill()
    oracle.assert_exactly_once(stream)


def _unlink(stream: Stream, name: str) -> None:
    path = stream.checkpoint / name
    path.unlink()
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
