"""What rules say of the past is what they said when it came."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.monitoring.alerts.evaluate import Evaluator, Transition
from jobs.monitoring.alerts.history import history
from jobs.monitoring.alerts.observation import Observation
from jobs.monitoring.alerts.show import line_of
from schemas.alerts import alerts_of
from schemas.settings import Settings, load_settings
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows, append_events
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of, parts_writer, scored

RULES = alerts_of(
    {
        "rules": [
            {"name": "low", "kind": "value", "column": "prediction", "below": 1},
            {"name": "many", "kind": "reject_ratio", "window": "1h", "above": 0.2, "min_rows": 10},
            {"name": "refused", "kind": "event", "events": ["refused"], "until": ["swapped"]},
            {"name": "bad_type", "kind": "count", "table": "quarantine", "window": "1h", "above": 4}
            | {"column": "reason", "values": ["bad_type"]},
            {"name": "wait", "kind": "waiting_files", "above": 1},
        ]
    },
    "test",
).rules


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"tables.path": f"{tmp_path}/{{feed}}"})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / FEED.name)


def put(tables: Tables, number: int, rows: int = 5, rejects: int = 0) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, rows, rejects), batch, tables, writer_of(tables))
    append_batch_rows(tables)


def short(turns: list[Transition]) -> list[tuple[str, str]]:
    return [(turn.rule, turn.to) for turn in turns]


def test_the_commits_of_all_tables_in_the_order_of_their_time(tables: Tables, settings: Settings) -> None:
    put(tables, 0)
    append_events(tables, [{"kind": "refused", "model_version": "4", "detail": "does not fit"}])
    put(tables, 1, 5, 5)
    append_events(tables, [{"kind": "swapped", "model_version": "5"}])
    evaluator = Evaluator(RULES)
    found = [turn for seen in history(FEED, RULES, settings, None, None) for turn in evaluator.observe(seen)]
    assert short(found) == [
        ("low", "firing"),
        ("refused", "firing"),
        ("bad_type", "firing"),
        ("many", "firing"),
        ("refused", "resolved"),
    ]
    assert found[0].rows[0] == {"prediction": 0.5, "source_file": "0.csv", "source_line": 2, "model_version": "3"}
    assert found[1].rows == ({"model_version": "4", "detail": "does not fit"},)

    # and so does who saw each as it came, after a kill, and again after maintenance
    seen = [one for one in history(FEED, RULES, settings, None, None) if isinstance(one, Observation)]
    half = Evaluator(RULES)
    before = [turn for one in seen[:3] for turn in half.observe(one)]
    rest = Evaluator(RULES, half.to_json())
    assert before + [turn for one in seen[3:] for turn in rest.observe(one)] == found
    at = seen[2].at
    later = [one for one in history(FEED, RULES, settings, at, at + timedelta(days=1)) if isinstance(one, Observation)]
    assert [one.at for one in later] == [one.at for one in seen if one.at >= at]


def test_a_commit_of_many_files_is_one_observation(tables: Tables, settings: Settings) -> None:
    batch = a_batch(0)
    writer = parts_writer(tables, batch, part_bytes=1)
    for _ in range(3):
        writer.add(*scored("0.csv", 2))
    commit(writer.finish(), batch, tables, writer_of(tables))
    seen = [one for one in history(FEED, RULES[:1], settings, None, None) if isinstance(one, Observation)]
    assert [one.rows.num_rows for one in seen] == [6]


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "dry-run", "wine_quality", *arguments])
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


def test_the_command_prints_a_line_a_turn(tmp_path: Path, tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    put(tables, 0)
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: low, kind: value, column: prediction, below: 1}]")
    arguments = ("--tables", tables.path, "--rules", str(rules))
    code, out, _ = dry_run(capsys, *arguments)
    assert code == 0 and out.split(maxsplit=2)[2] == "firing     low 0.5 0.csv:2\n"
    turn = json.loads(dry_run(capsys, "2026-01-01..", *arguments, "--json")[1])
    assert (turn["rule"], turn["to"], turn["value"], len(turn["rows"])) == ("low", "firing", 0.5, 5)
    assert dry_run(capsys, "2026-01-01..2026-01-02", *arguments) == (0, "", "")


def test_a_line_is_one_line_whatever_a_file_is_called() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    turn = Transition("low", "wine", "firing", at, at, "e", 1, "\x1b[31m", rows=({"source_file": "a\n\u202eb.csv"},))
    assert line_of(turn) == r"2026-01-02 00:00:00.000 firing     low \x1b[31m a\n\u202eb.csv"


@pytest.mark.parametrize("span", ["yesterday", "2026-01-01", "2026-13-01..", "a..b"])
def test_a_span_that_is_none_is_told(span: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = dry_run(capsys, span)
    assert code == 2 and f"found '{span}', wanted FROM..TO, such as" in error
