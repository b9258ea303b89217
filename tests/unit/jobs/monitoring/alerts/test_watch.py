"""A feed is watched: what turns is stored, then sent to a real receiver; a kill anywhere loses nothing."""

import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.cli import main
from jobs.maintenance.clean import clean_log, vacuum
from jobs.maintenance.compact import Budget, compact
from jobs.monitoring.alerts import watch
from jobs.monitoring.alerts.evaluate import Evaluator
from jobs.monitoring.alerts.history import history
from jobs.monitoring.alerts.outbox import Answer, Notice, notices_of
from jobs.monitoring.alerts.store import AlertsTable
from jobs.monitoring.alerts.watch import FeedWatch
from jobs.monitoring.alerts.webhook import send
from schemas.alerts import Alerts, alerts_of
from schemas.errors import StorageError, TryAgainError
from schemas.settings import Settings, load_settings
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.read_table import read_table
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.receiver import KEY, SECRET, WebhookReceiver
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_writer, scored
from tests.support.wait import until

ROOT = Path(__file__).parents[5]
RULES = [
    {"name": "high", "kind": "value", "column": "first_value", "above": 5},
    {"name": "wait", "kind": "waiting_files", "above": 10},
]
Send = Callable[[Notice], Answer]


def alerts(*receivers: str) -> Alerts:
    told = [{"name": name, "url": "http://127.0.0.1:9/in", "secret_env": "SECRET"} for name in receivers or ("me",)]
    return alerts_of({"rules": RULES, "receivers": told}, "test")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"tables.path": f"{tmp_path}/{{feed}}"})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / FEED.name)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with contextlib.closing(WebhookReceiver()) as made:
        yield made


def put(tables: Tables, number: int, rows: int) -> None:
    """Predictions with the first values 0, 1, …: more than six fire."""
    batch = a_batch(number)
    writer = parts_writer(tables, batch)
    writer.add(*scored(f"{number}.csv", rows))
    commit(writer.finish(), batch, tables, writer_of(tables))
    append_batch_rows(tables)


def sender(receiver: WebhookReceiver) -> Send:
    return functools.partial(send, url=receiver.url, key=KEY)


def watched(settings: Settings, waiting: Callable[[], int | None] = lambda: 0, **senders: Send) -> FeedWatch:
    """A watcher that has looked once."""
    made = FeedWatch(FEED, alerts(*senders), settings, senders, waiting)
    made.look()
    return made


def looked(made: FeedWatch, done: Callable[[], object]) -> None:
    """Look until something is so."""

    def look() -> object:
        made.look()
        return done()

    until(look)


def has_got(receiver: WebhookReceiver, notices: int) -> bool:
    return len(receiver.got) == notices


def state_of(tables: Tables) -> dict[str, Any]:
    return AlertsTable(tables.uri("alerts"), tables.storage).load() or {}


def test_what_fires_is_stored_and_received_once_with_what_is_behind_it(
    tables: Tables, settings: Settings, receiver: WebhookReceiver
) -> None:
    put(tables, 0, 9)  # before anybody watched
    made = watched(settings, me=sender(receiver))
    put(tables, 1, 7)
    put(tables, 2, 8)
    put(tables, 3, 2)
    looked(made, lambda: len(receiver.got) == 2 and not state_of(tables)["outbox"])
    made.finish()
    assert receiver.types == ["alert.firing", "alert.resolved"]
    data = receiver.got[0][1]["data"]
    assert (data["rule"], data["value"], data["limits"], data["version"]) == ("high", 6.0, {"above": 5.0}, 2)
    assert data["rows"] == [{"first_value": 6.0, "source_file": "1.csv", "source_line": 8, "model_version": "3"}]
    rows = read_table(FEED, "alerts", settings=settings).to_pylist()
    turns = [(row["rule"], row["kind"], row["value"]) for row in rows if row["kind"] != "state"]
    assert turns == [("high", "firing", "6.0"), ("high", "resolved", "1.0")]
    # and the past says the same of these commits
    evaluator, first = Evaluator(alerts().rules), next(row["at"] for row in rows if row["kind"] == "firing")
    past = [turn for seen in history(FEED, alerts().rules, settings, first, None) for turn in evaluator.observe(seen)]
    stored = [(row["at"], row["kind"], row["episode"], row["table_version"]) for row in rows if row["kind"] != "state"]
    assert [(turn.at, turn.to, turn.episode, turn.version) for turn in past] == stored


def test_a_kill_between_receipt_and_record_sends_the_same_id_again(
    tables: Tables, settings: Settings, receiver: WebhookReceiver
) -> None:
    made = watched(settings, me=sender(receiver))
    put(tables, 0, 7)
    made.look()
    until(lambda: receiver.got)  # received, and not recorded: here it dies
    for delivery in made._deliveries.values():
        delivery.stop()
    assert len(state_of(tables)["outbox"]) == 1
    again = watched(settings, me=sender(receiver))
    looked(again, lambda: not state_of(tables)["outbox"])
    again.finish()
    assert receiver.types == ["alert.firing"] * 2 and len({key for key, _ in receiver.got}) == 1


def test_a_kill_before_the_record_makes_the_same_turn_again(
    tables: Tables, settings: Settings, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watched(settings, me=sender(receiver))
    put(tables, 0, 7)
    ids: list[str] = []
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(AlertsTable, "save", lambda *_: exec("raise KeyboardInterrupt"))
            with pytest.raises(KeyboardInterrupt):
                made.look()
        ids += [notice.id for notice in notices_of(made._turns, made._rules, made._alerts.receivers, 0)]
        made = FeedWatch(FEED, alerts(), settings, {"me": sender(receiver)}, lambda: 0)
    assert len(ids) == 2 and len(set(ids)) == 1 and receiver.got == []
    looked(made, lambda: receiver.got)
    made.finish()
    assert [key for key, _ in receiver.got] == ids[:1]


def test_what_is_not_taken_is_sent_again_in_its_order(tables: Tables, settings: Settings) -> None:
    answers = {0: (429, {"retry-after": "1"})}
    with contextlib.closing(WebhookReceiver(lambda n: answers.get(n, (200, {})))) as receiver:
        made = watched(settings, me=sender(receiver))
        put(tables, 0, 7)
        put(tables, 1, 2)
        looked(made, lambda: len(receiver.got) == 3 and not state_of(tables)["outbox"])
        made.finish()
    assert receiver.types == ["alert.firing", "alert.firing", "alert.resolved"]


def test_a_slow_receiver_holds_up_no_other(tables: Tables, settings: Settings, receiver: WebhookReceiver) -> None:
    release = threading.Event()

    def slow(_: Notice) -> Answer:
        release.wait(60)
        return Answer(200)

    made = watched(settings, slow=slow, me=sender(receiver))
    put(tables, 0, 7)
    looked(made, lambda: receiver.got)
    assert "slow" in [notice["receiver"] for notice in state_of(tables)["outbox"]]
    release.set()
    made.finish()
    assert state_of(tables)["outbox"] == []


def test_storage_that_is_away_resolves_nothing_and_fires_nothing_twice(
    tables: Tables, settings: Settings, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.0)
    made = watched(settings, me=sender(receiver))
    put(tables, 0, 7)
    looked(made, lambda: receiver.got)
    with capture_logs() as told, monkeypatch.context() as patch:
        patch.setattr(
            "streamscore.following.follower.TableFollower._read_log",
            lambda *_: exec("raise error", {"error": StorageError("away")}),
        )
        for _ in range(5):
            made.look()
    assert [entry["event"] for entry in told if entry["event"] != "notice received"] == ["storage failed, trying again"]
    put(tables, 1, 8)
    put(tables, 2, 2)
    looked(made, lambda: len(receiver.got) == 2)
    made.finish()
    assert receiver.types == ["alert.firing", "alert.resolved"]


def test_maintenance_of_the_table_takes_nothing_from_the_watcher(
    tables: Tables, settings: Settings, receiver: WebhookReceiver
) -> None:
    made = watched(settings, me=sender(receiver))
    for number in range(6):
        put(tables, number, 2 if number % 2 else 7)
        looked(made, functools.partial(has_got, receiver, number + 1))
    put(tables, 6, 7)
    looked(made, functools.partial(has_got, receiver, 7))
    made.finish()
    before = state_of(tables)
    log = tables.log("alerts")
    assert compact(log, 2**27, Budget()) > 3
    log.write_checkpoint()
    assert clean_log(log, None, 0, dry_run=False) and vacuum(log, 0, dry_run=False)[0]
    assert state_of(tables) == before
    again = watched(settings, me=sender(receiver))
    put(tables, 7, 2)
    looked(again, functools.partial(has_got, receiver, 8))
    again.finish()
    assert receiver.types == ["alert.firing", "alert.resolved"] * 4


def test_of_two_watchers_of_a_feed_one_ends(tables: Tables, settings: Settings) -> None:
    first, second = (FeedWatch(FEED, alerts(), settings, {}, lambda: 0) for _ in range(2))
    first.look()
    with pytest.raises(TryAgainError, match="another `streamscore watch` of this feed committed since"):
        second.look()


def test_files_that_wait_are_counted(tables: Tables, settings: Settings, receiver: WebhookReceiver) -> None:
    made = watched(settings, lambda: 11, me=sender(receiver))
    looked(made, lambda: receiver.got)
    made.finish()
    assert [body["data"]["rule"] for _, body in receiver.got] == ["wait"]


@pytest.mark.slow
@pytest.mark.repeats
def test_kills_at_random_lose_no_notice_and_send_none_under_another_id(
    tmp_path: Path, tables: Tables, settings: Settings, receiver: WebhookReceiver
) -> None:
    rules, log = tmp_path / "rules.yaml", tmp_path / "log"
    told = {"name": "me", "url": receiver.url, "secret_env": "ALERTS_SECRET"}
    rules.write_text(json.dumps({"rules": [RULES[0]], "receivers": [told]}))
    command = [
        sys.executable,
        "-m",
        "jobs.cli",
        "watch",
        "wine_quality",
        "--rules",
        str(rules),
        "--tables",
        tables.path,
    ]
    process: subprocess.Popen[bytes] | None = None

    def start() -> "subprocess.Popen[bytes]":
        with log.open("ab") as to:
            return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"ALERTS_SECRET": SECRET}, stderr=to)

    begun = threading.Event()

    def stream() -> None:
        until(lambda: state_of(tables))
        begun.set()
        for number in range(120):
            put(tables, number, 7 if number % 3 else 2)
            time.sleep(0.1)

    streaming = threading.Thread(target=stream)
    streaming.start()
    chance = random.Random(7)
    while streaming.is_alive():
        process = start()
        begun.wait(60)
        time.sleep(chance.uniform(1.5, 4))
        if streaming.is_alive():
            process.kill()
            process.wait()
    evaluator = Evaluator(alerts_of(json.loads(rules.read_text()), "test").rules)
    past = [turn for seen in history(FEED, alerts().rules, settings, None, None) for turn in evaluator.observe(seen)]
    until(lambda: len({key for key, _ in receiver.got}) >= len(past), 60)
    assert process
    process.terminate()
    assert process.wait(60) == 0
    first = list(dict.fromkeys((key, body["type"], body["data"]["at"]) for key, body in receiver.got))
    assert [(kind, at) for _, kind, at in first] == [(f"alert.{turn.to}", turn.at.isoformat()) for turn in past]
    assert len(past) == 79 and log.read_text().count('"watching"') > 3


@pytest.mark.slow
def test_the_command_watches_until_it_is_ended_and_goes_on_after_a_kill(
    tmp_path: Path, tables: Tables, receiver: WebhookReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"name": "me", "url": receiver.url, "secret_env": "ALERTS_SECRET"}
    rules = tmp_path / "rules.yaml"
    lost = told | {"name": "lost", "secret_env": "NOT_THERE"}
    rules.write_text(json.dumps({"rules": [RULES[0]], "receivers": [told, lost]}))
    common = ["wine_quality", "--rules", str(rules), "--tables", tables.path]
    environment = os.environ | {"ALERTS_SECRET": SECRET}

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "jobs.cli", "watch", *common]
        log = (tmp_path / "log").open("w")
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log, text=True)

    with start() as process:
        until(lambda: "watching" in (tmp_path / "log").read_text() and (Path(tables.path) / "alerts").is_dir())
        until(lambda: state_of(tables))
        put(tables, 0, 7)
        until(lambda: receiver.got)
        process.send_signal(signal.SIGKILL)
    put(tables, 1, 2)
    with start() as process:
        until(lambda: receiver.types[-1] == "alert.resolved")
        until(lambda: not [one for one in state_of(tables)["outbox"] if one["receiver"] == "me"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert len({key for key, _ in receiver.got}) == 2
    assert (tmp_path / "log").read_text().count("receiver left out") == 1

    with pytest.raises(SystemExit):
        main(["alerts", "list", "wine_quality", "--tables", tables.path])
    listed = json.loads(capsys.readouterr().out)
    assert listed["rules"] == {} and {one["receiver"] for one in listed["notices"]} == {"lost"}
