"""How often a model is asked, and that what it says of some rows is not taken for others."""

from collections.abc import Callable

import pytest

from schemas.errors import RegistryError
from streamscore.models.answers import AnswerError, OutputCountError
from streamscore.scoring.ask import ALONE, Asked, ask, reason_of

MANY = 100_000


class Counted:
    """A model of row numbers that raises on some of them."""

    def __init__(self, is_bad: Callable[[int], bool]) -> None:
        self._is_bad, self.calls = is_bad, 0

    def __call__(self, start: int, stop: int) -> list[int]:
        self.calls += 1
        if any(map(self._is_bad, range(start, stop))):
            msg = "bad"
            raise ValueError(msg)
        return list(range(start, stop))


def answers(asked: list[Asked[list[int]]]) -> list[int]:
    return [row for _, _, outcome in asked if not isinstance(outcome, Exception) for row in outcome]


def failed(asked: list[Asked[list[int]]]) -> list[int]:
    return [row for start, stop, outcome in asked if isinstance(outcome, Exception) for row in range(start, stop)]


def test_a_model_that_fails_on_every_row_of_a_hundred_thousand_is_asked_257_times() -> None:
    model = Counted(lambda _: True)
    asked = list(ask(MANY, model))
    assert failed(asked) == list(range(MANY))
    assert model.calls == 1 + ALONE
    ((_, _, error),) = asked
    assert isinstance(error, ValueError)
    assert reason_of(error) == f"ValueError: bad, and so for {ALONE} of the {MANY} rows, each asked alone"


@pytest.mark.parametrize("bad", [{0}, {7, 70_000}, set(range(500)), set(range(MANY - 500, MANY))])
def test_of_a_hundred_thousand_rows_only_those_that_break_the_model_have_no_answer(bad: set[int]) -> None:
    model = Counted(bad.__contains__)
    asked = list(ask(MANY, model))
    assert set(failed(asked)) == bad
    assert answers(asked) == [row for row in range(MANY) if row not in bad]
    assert model.calls <= 40 * len(bad) + ALONE


def test_of_rows_that_fail_by_turns_each_good_one_has_its_answer() -> None:
    asked = list(ask(1000, Counted(lambda row: row % 10 != 0)))
    assert answers(asked) == list(range(0, 1000, 10))


def test_one_answer_for_all_rows_is_not_taken_for_a_row_asked_alone() -> None:
    def mean(start: int, stop: int) -> list[int]:
        if stop - start > 1:
            raise OutputCountError(1, stop - start)
        return [start]

    ((start, stop, outcome),) = ask(5, mean)
    assert isinstance(outcome, OutputCountError)
    assert (start, stop, reason_of(outcome)) == (0, 5, "1 outputs for 5 rows, wanted one a row")


def test_a_model_that_leaves_rows_out_has_answers_for_the_others() -> None:
    def even(start: int, stop: int) -> list[int]:
        found = [row for row in range(start, stop) if row % 2 == 0]
        if len(found) != stop - start:
            raise OutputCountError(len(found), stop - start)
        return found

    assert answers(list(ask(20, even))) == list(range(0, 20, 2))


@pytest.mark.parametrize("error", [AnswerError("another shape"), OutputCountError(0, MANY)])
def test_what_no_choice_of_rows_would_help_is_asked_once(error: AnswerError) -> None:
    calls = []

    def model(start: int, stop: int) -> list[int]:
        calls.append(start)
        raise error

    assert failed(list(ask(MANY, model))) == list(range(MANY))
    assert len(calls) <= 3


def test_a_model_that_cannot_be_asked_costs_no_row() -> None:
    def gone(start: int, stop: int) -> list[int]:
        msg = "its process does not start again"
        raise RegistryError(msg)

    with pytest.raises(RegistryError):
        list(ask(3, gone))
