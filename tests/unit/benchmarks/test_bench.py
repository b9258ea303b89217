"""The pure parts of the benchmark harness: quantiles, rates, log entries, goals and the page."""

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drift_goals import of_drift
from benchmarks.drifting.windows import HALF, UNSHIFTED
from benchmarks.figures import median, milliseconds, quantile, ratio, steady_rate, table, times
from benchmarks.goals import flatness, goals
from benchmarks.models import FOREST
from benchmarks.parts.drift import summary as drift_summary
from benchmarks.parts.serving_models import ideal_hit_rate
from benchmarks.plots import draw
from benchmarks.report import page
from benchmarks.serving_goals import of_online
from benchmarks.sizes import ALL, SMOKE
from benchmarks.table_log import TableLog, added_rows, in_folder


def run(rows_per_commit: int, seconds: float) -> dict[str, Any]:
    commits = [(10 + seconds * n, rows_per_commit) for n in range(4)]
    return {"started_s": 9.0, "commits": commits, "complete": True}


@pytest.fixture
def parts() -> dict[str, Any]:
    """All parts, as `measure` gives them; the stream keeps every goal but that of the idle stream."""
    waits = {"streamscore": [0.03] * 98 + [0.05, 0.2], "loop": [0.025] * 100, "article": [4.0] * 30}
    latency = {name: {"first_s": 9.0, "warm_up_s": [], "waits_s": of} for name, of in waits.items()}
    runs = {"streamscore": run(250_000, 0.5), "loop": run(250_000, 0.4), "article": run(250_000, 7.0)}
    many = {"files": 20_000, "rows": 1_000_000, "contestants": runs}
    landed = {count: [0.03] * 10 for count in ("0", "1000", "100000")}
    samples = [(float(at), 2**31, 2**30 + 2**29) for at in range(20)]
    return {
        "latency": latency,
        "large_models": {FOREST: latency},
        "start_up": {"streamscore": [8.0, 9.0], "article": [25.0]},
        "catch_up": {"1 M rows in 200 files": many, "20,000 files of 50 rows": many},
        "memory": {"streamscore": {"rows": 10, "heap": 2**30, "samples": samples, "commits": [(2, 5), (18, 5)]}},
        "idle": {"streamscore": {"seconds": 30.0, "processor_s": 3.0}},
        "growth": {
            "landed": {"streamscore": landed, "streamscore-archive": landed},
            "commits": {"streamscore": {"commits": 10_000, "first_s": [0.03], "last_s": [0.033]}},
        },
        "left_behind": {
            "loop": {"seconds": 36.0, "landed": 9, "commits": 9, "data_files": 9, "log_files": 9, "checkpoint_files": 0}
        },
        "serving": {
            "loads": {"elastic net, 1 row": {"streamscore": wrk(3000), "mlflow models serve": wrk(250)}},
            "promotion": {"quiet": wrk(3000), "promoted": wrk(2900)},
            "come_and_go": {"loads": 500, "first": 100, "last": 120},
        },
        "drift": {"white wine": {"streamscore": drift_summary([said(), said("a")] * 50 + [said(of="a", kind=HALF)])}},
        "object_store": {
            "streamscore": {"first_s": 9.0, "waits_s": [0.1], "lists_per_s": 9.0, "idle_lists_per_s": 19.0}
        },
    }


def said(*drifted: str, of: str = "", kind: str = UNSHIFTED) -> dict[str, Any]:
    return {"kind": kind, "rows": 100, "split": 0, "column": of, "drifted": list(drifted), "seconds": 0.01}


def wrk(rate: float) -> dict[str, float]:
    return {"requests": 9, "failed": 0, "p50": 0.003, "p99": 0.005, "slowest": 0.1, "rate": rate}


def results(parts: dict[str, Any]) -> dict[str, Any]:
    return {"size": "smoke", "machine": {"line": "2 cores"}, "parts": parts, "seconds": {"all": 1.0}, "failed": {}}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [0.3, 0.1, 0.2, 0.4]
    assert [quantile(values, share) for share in (0.0, 0.25, 0.5, 0.99, 1.0)] == [0.1, 0.1, 0.2, 0.4, 0.4]
    assert math.isnan(quantile([], 0.5)) and math.isnan(median([]))


def test_a_ratio_to_nothing_is_no_number() -> None:
    assert ratio(1, 4) == 0.25
    assert math.isnan(ratio(1, 0)) and math.isnan(ratio(1, math.nan))


def test_figures_read_as_in_a_table() -> None:
    assert [milliseconds(s) for s in (0.0264, 3.3031, 25.6, math.nan)] == ["26 ms", "3,303 ms", "26 s", "–"]
    assert [times(r) for r in (0.414, 128.7, 0.003, math.nan)] == ["0.41 ×", "129 ×", "1/333", "–"]
    assert table(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | --- |\n| x | 1 |"


def test_the_steady_rate_leaves_the_first_commit_out() -> None:
    assert steady_rate([(20.0, 100), (22.0, 300), (24.0, 500)], 10.0) == 200
    assert steady_rate([(20.0, 100)], 10.0) == 10
    assert math.isnan(steady_rate([], 10.0))


def entry(*files: dict[str, Any], told: int = 0) -> bytes:
    lines = [{"commitInfo": {"operationMetrics": {"numOutputRows": str(told)}}}, *({"add": file} for file in files)]
    return "\n".join(json.dumps(line) for line in lines).encode()


def test_rows_of_an_entry_are_those_that_are_new() -> None:
    assert added_rows(entry({"stats": '{"numRecords": 3}'}, {"stats": '{"numRecords": 4}'})) == 7
    assert added_rows(entry({"stats": None}, told=5)) == 5
    assert added_rows(entry({"stats": '{"numRecords": 3}', "dataChange": False}, told=3)) == 0
    assert added_rows(entry()) == 0


def test_a_log_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    log, folder = TableLog(in_folder(tmp_path)), tmp_path / "_delta_log"
    assert log.look() == []
    folder.mkdir()
    (folder / f"{0:020}.json").write_bytes(entry())
    (folder / f"{1:020}.json").write_bytes(entry({"stats": '{"numRecords": 3}'}))
    (folder / f"{2:020}.json").write_bytes(b'{"add": {"sta')
    assert [(commit.version, commit.rows) for commit in log.look()] == [(1, 3)]
    (folder / f"{2:020}.json").write_bytes(entry({"stats": '{"numRecords": 4}'}))
    assert [commit.version for commit in log.look()] == [2]
    assert (log.rows, log.version) == (7, 3)


def test_memory_is_flat_by_its_last_third() -> None:
    samples = [(float(at), 0, 100 if at < 20 else 150) for at in range(30)]
    assert flatness(samples, [(0.0, 1), (30.0, 1)]) == 1.5
    assert math.isnan(flatness(samples, []))


def test_each_goal_is_held_against_what_was_measured(parts: dict[str, Any]) -> None:
    made = goals(parts)
    assert [goal.row for goal in made if goal.holds is False] == ["idle stream"]
    assert all(goal.holds is not None for goal in made)
    assert ("1/133.3", True) in {(goal.measured, goal.holds) for goal in made}


def test_what_was_not_measured_is_said() -> None:
    assert {goal.holds for goal in goals({})} == {None}
    assert "not measured" in page(results({}))


def test_a_contestant_that_did_not_catch_up_has_a_rate_and_no_end(parts: dict[str, Any]) -> None:
    slow = parts["catch_up"]["20,000 files of 50 rows"]["contestants"]["article"] = run(10_000, 7.0)
    slow["complete"] = False
    assert "not done: 40,000 rows when its time was over" in page(results(parts))
    assert [goal.holds for goal in goals(parts) if goal.bound == "≥ 10 × article"] == [True, True]


def test_the_smoke_run_has_every_contestant_and_part() -> None:
    in_parts = [*SMOKE.contestants.values(), *(load.contestants for load in SMOKE.loads.values())]
    assert {name for names in in_parts for name in names} == set(ALL)
    assert all(in_parts)


def test_the_page_has_a_table_for_each_part(parts: dict[str, Any]) -> None:
    text = page(results(parts) | {"left_out": {"other": "wants a broker"}, "failed": {"idle": "it ended\nwith 1"}})
    assert text.count("\n## ") == len(parts) + 4
    assert "- other: wants a broker" in text and "- idle: it ended with 1" in text


def test_pictures_hold_no_foreign_address_and_are_the_same_again(parts: dict[str, Any], tmp_path: Path) -> None:
    draw(parts, tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(first) == ["landed.svg", "latency.svg", "throughput.svg"]
    draw(parts, tmp_path)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for text in first.values():
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert text.count(b"http") == text.count(b"http://www.w3.org/2000/svg") + text.count(
            b"http://www.w3.org/1999/xlink"
        )


def test_the_goals_of_the_online_service_are_held_against_what_was_measured(parts: dict[str, Any]) -> None:
    found = {goal.row: goal.holds for goal in of_online(parts["serving"])}
    assert found["online: elastic net, 1 row"] is True
    assert found["online: promotions at full load"] is True
    assert found["online: 500 loads and unloads, memory"] is False
    assert found["online: 1,000 first calls at once"] is None
    assert {goal.holds for goal in of_online({})} == {None}


def test_drift_is_counted_by_windows_and_by_columns_that_were_changed() -> None:
    plain = [said(), said("a"), said("b"), said("b"), said()]
    moved = [said("a", of="a", kind=HALF), said("b", of="a", kind=HALF)]
    counts = drift_summary([*plain, *moved])["counts"]
    assert counts[f"{UNSHIFTED} | 100"] == {"windows": 5, "any": 3, "named": 0, "alarms": 2}
    assert counts[f"{HALF} | 100"] == {"windows": 2, "any": 2, "named": 1}


def test_the_goals_of_drift_are_held_against_what_was_measured(parts: dict[str, Any]) -> None:
    found = {goal.row: goal for goal in of_drift(parts["drift"])}
    quiet, alarms = (found[f"drift, white wine: {row}"] for row in ("unshifted windows", "alarms, 2 of 3 windows"))
    assert (quiet.measured, quiet.holds, alarms.holds) == ("50 of 100", False, False)
    assert found[f"drift, white wine: {HALF}, 100 rows"].measured == "0%"
    assert found["drift, white wine: + 0.25 sd, 300 rows"].holds is None
    assert "| white wine | unshifted | streamscore | 50.0% of 100 | – | – | 10 ms |" in page(results(parts))


def test_an_ideal_lru_forgets_what_was_not_used_for_longest() -> None:
    assert ideal_hit_rate([1, 2, 1, 3, 2, 1], 2) == 1 / 6
