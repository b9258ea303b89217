"""The end of a run: what is raised, what is cleaned up, and what only a stop explains."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.streaming import serve
from jobs.streaming.micro_batch import Outcome
from jobs.streaming.start import StartedQuery
from jobs.streaming.stop import Stop
from schemas.errors import ConflictError, StorageError
from streamscore.landing.manifest import BatchManifest, LandedFile

FILES = (LandedFile("file:///in/a.csv", 1, 1),)
DONE = Outcome(0, BatchManifest(1, FILES))
NOTHING: Any = None


class Query:
    """Spark's query: active until it is stopped, or from the start not."""

    def __init__(self, error: Exception | None, *, active: bool) -> None:
        self._error, self.isActive = error, active

    def exception(self) -> Exception | None:
        return self._error

    def stop(self) -> None:
        self.isActive = False


class Served:
    """A run whose query Spark has begun; the test is Spark, the micro-batches, the checkpoint and the archive."""

    def __init__(
        self, outcome: Outcome, error: Exception | None = None, *, active: bool = False, stop_soon: bool = False
    ) -> None:
        self._stop_soon = stop_soon
        self.stop, self.outcome, self.query = Stop(), outcome, Query(error, active=active)
        self.swept: list[list[BatchManifest]] = []
        self.events: list[tuple[str, str]] = []
        self.commits = [-1, -1, 0]  # what Spark's commit log says, one look after the other
        self.is_finished = False

    @property
    def last_commit(self) -> int:
        return self.commits.pop(0)

    def manifests(self, newest: int) -> list[BatchManifest]:
        assert newest == self.outcome.batch_id
        return [self.outcome.manifest] if self.outcome.manifest else []

    def finish(self) -> None:
        self.is_finished = True

    def _let_in(self, _: StartedQuery) -> "Served":
        if self._stop_soon:
            self.stop.ask()
        return self

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(serve, "_let_in", self._let_in)
        begun: Future[Any] = Future()
        begun.set_result(self.query)
        archive = SimpleNamespace(sweep=self.swept.append, unswept=list)
        feed = SimpleNamespace(name="wine_quality")
        checkpoint: Any = self
        checkpoint.folder = SimpleNamespace(uri="/checkpoint")
        prepared: Any = SimpleNamespace(
            run=SimpleNamespace(stop=self.stop, feed=feed, archive=archive),
            checkpoint=checkpoint,
            report=SimpleNamespace(
                event=lambda kind, detail: self.events.append((kind, detail)), report_troubles=lambda: None
            ),
        )
        serve.serve_until_stopped(StartedQuery(prepared, NOTHING, begun, Future(), NOTHING, NOTHING))


def test_a_query_that_has_caught_up_leaves_its_last_files_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(DONE)
    run.serve(monkeypatch)
    assert run.is_finished
    assert run.swept == [[BatchManifest(1, FILES)]]


def test_a_stop_waits_for_sparks_commit_of_the_last_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(DONE, active=True, stop_soon=True)
    run.serve(monkeypatch)
    assert run.commits == []
    assert not run.query.isActive
    assert run.swept == [[BatchManifest(1, FILES)]]


def test_a_call_that_was_turned_away_is_a_clean_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(DONE._replace(turned_away=True), RuntimeError("micro-batch 1 is the next start's"))
    run.serve(monkeypatch)
    assert run.swept == [[BatchManifest(1, FILES)]]


def test_a_conflict_is_an_event_and_is_raised_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ConflictError("another driver committed it")
    run = Served(DONE._replace(error=ours), RuntimeError("Py4JException: An exception was raised"))
    with pytest.raises(ConflictError) as error:
        run.serve(monkeypatch)
    assert error.value is ours
    assert run.events == [("conflict", "another driver committed it")]
    assert run.swept == []


def test_what_spark_says_is_raised_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="Spark ended the query: no space left; the whole story: --debug"):
        Served(DONE, RuntimeError("no space left\nat java")).serve(monkeypatch)


def test_a_query_that_a_signal_ended_with_its_processes_is_a_clean_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(Outcome(), RuntimeError("Python worker exited unexpectedly"), stop_soon=True)
    run.serve(monkeypatch)
    assert run.swept == []


def test_a_jvm_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(DONE)
    monkeypatch.setattr(Query, "exception", lambda _: (_ for _ in ()).throw(ConnectionRefusedError()))
    with pytest.raises(StorageError, match="Spark's JVM has ended"):
        run.serve(monkeypatch)


def test_a_lost_checkpoint_is_told_with_its_new_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Served(DONE, active=True)
    run.stop.lease_lost("process 7 on elsewhere")
    with pytest.raises(ConflictError, match="checkpoint /checkpoint was taken over by process 7 on elsewhere"):
        run.serve(monkeypatch)
    assert run.swept == []
