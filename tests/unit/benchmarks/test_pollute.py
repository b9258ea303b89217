"""A sample of `make pollute`: polluted files end as their making says, in the stream's own reading and validation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found, Verdict
from benchmarks.pollute.library import read_outcomes
from benchmarks.pollute.make import make
from benchmarks.pollute.others import Read, read_each, with_duckdb, with_duckdb_rejects, with_pandas
from benchmarks.pollute.report import table
from tests.support.wine import WINE

FILES, SEED = 200, 85


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Outcome]:
    return make(tmp_path_factory.mktemp("polluted"), FILES, SEED, WINE, large=0)


def judged(outcomes: Sequence[Outcome]) -> Verdict:
    found = read_outcomes(outcomes)
    verdict = Verdict()
    for outcome in outcomes:
        if outcome.is_taken:
            verdict.add(outcome, found[outcome.path])
    return verdict


def test_no_row_of_a_polluted_file_is_wrong_and_nearly_all_clean_ones_are_read(outcomes: Sequence[Outcome]) -> None:
    verdict = judged(outcomes)
    assert verdict.examples == []
    assert (verdict.wrong, verdict.misfiled, verdict.ended) == (0, 0, 0)
    assert verdict.clean > 3 * FILES
    assert verdict.share >= 0.99 * verdict.with_clean


def test_the_sample_has_pollutions_of_every_level_and_files_of_every_end(outcomes: Sequence[Outcome]) -> None:
    levels = {pollution.partition(":")[0] for outcome in outcomes for pollution in outcome.pollutions}
    assert levels == {"cell", "record", "header", "file"}
    assert len({pollution for outcome in outcomes for pollution in outcome.pollutions}) > FILES
    refused = sum(bool(outcome.refused) for outcome in outcomes)
    rows_refused = sum(bool(row.reasons) for outcome in outcomes if not outcome.refused for row in outcome.rows)
    passed_over = sum(not outcome.is_taken for outcome in outcomes)
    assert refused > 20 and rows_refused > 100 and passed_over > 2


def test_the_same_seed_makes_the_same_files(outcomes: Sequence[Outcome], tmp_path: Path) -> None:
    again = make(tmp_path, FILES, SEED, WINE, large=0)
    same = [replace(outcome, path=Path()) for outcome in outcomes]
    assert repr([replace(outcome, path=Path()) for outcome in again]) == repr(same)


@pytest.fixture
def plain(outcomes: Sequence[Outcome]) -> Outcome:
    """A file of good rows."""
    good = [o for o in outcomes if o.is_taken and not o.refused and o.rows and not any(r.reasons for r in o.rows)]
    return next(o for o in good if len(o.kind.in_file) == len(o.kind.columns))


def said(outcome: Outcome, **change: object) -> Verdict:
    rows = [row.values for row in outcome.rows]
    found = Found(rows=rows, lines=[row.line for row in outcome.rows], refused=[])
    verdict = Verdict()
    verdict.add(outcome, replace(found, **change))  # type: ignore[arg-type]
    return verdict


def test_the_judge_sees_rows_that_are_other_gone_twice_or_at_another_line(plain: Outcome) -> None:
    rows, lines = [row.values for row in plain.rows], [row.line for row in plain.rows]
    assert (said(plain).wrong, said(plain).recovered) == (0, len(rows))
    assert said(plain, rows=[(*rows[0][:-1], "other"), *rows[1:]]).wrong == 1
    assert said(plain, rows=rows[1:], lines=lines[1:]).wrong == 1
    assert said(plain, rows=[*rows, rows[0]], lines=[*lines, lines[0]]).wrong == 1
    assert said(plain, lines=[lines[0] + 1, *lines[1:]]).wrong == 1
    assert said(plain, rows=[(-1, *rows[0][1:]), *rows[1:]]).wrong == 2  # a row that is not there, one that is gone
    assert said(plain, predictions=[float("inf")] * len(rows)).wrong == len(rows)


def test_the_judge_counts_what_is_refused_without_need(plain: Outcome) -> None:
    rows, lines = [row.values for row in plain.rows], [row.line for row in plain.rows]
    verdict = said(plain, rows=rows[1:], lines=lines[1:], refused=[(lines[0], "bad_type", 1)])
    assert (verdict.wrong, verdict.misfiled, verdict.recovered) == (0, 1, len(rows) - 1)


def test_another_reader_is_not_blamed_for_what_it_says_that_it_left_out(plain: Outcome) -> None:
    rows = [row.values for row in plain.rows]
    assert said(plain, rows=rows[1:], lines=None, refused=None, told=1).wrong == 0
    assert said(plain, rows=rows[1:], lines=None, refused=None).wrong == 1
    raised = said(plain, rows=[], lines=None, refused=None, error="ValueError")
    assert (raised.wrong, raised.ended, raised.recovered) == (0, 1, 0)


def test_the_table_never_rounds_up() -> None:
    found = {"files": 3, "wrong": 0, "wrong_files": 0, "share": 2.9999, "with_clean": 3, "misfiled": 0, "ended": 0}
    run = found | {"ended_runs": 0, "runs": 1}
    lines = list(table({"a": {"x": run, "y": run}, "b": {"x": found}}, {"a": "A", "b": "B", "c": "C"}))
    assert lines[2:] == ["| A | 6 | 0 | 0 | 99.9 % | 0 | 0 of 2 runs |", "| B | 3 | 0 | 0 | 99.9 % |  | 0 files |"]


@pytest.mark.parametrize("reader", [with_pandas, with_duckdb, with_duckdb_rejects])
def test_other_readers_read_the_files_whose_rows_are_good(outcomes: Sequence[Outcome], reader: Read) -> None:
    good = [
        o for o in outcomes if o.is_taken and not o.refused and len(o.rows) > 1 and not any(r.reasons for r in o.rows)
    ]
    found = read_each(good[:12], reader)
    verdict = Verdict()
    for outcome in good[:12]:
        verdict.add(outcome, found[outcome.path])
    assert verdict.recovered > verdict.clean / 2
    assert verdict.wrong < verdict.clean / 10
