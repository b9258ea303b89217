"""Asking a model about rows: all at once, and where it fails fewer, until those that break it are alone."""

from collections.abc import Callable, Iterator, Sized
from typing import TypeVar

import numpy as np

from schemas.errors import StreamscoreError
from streamscore.models.answers import AnswerError, OutputCountError

ALONE = 256  # rows that fail alone before the model counts as failing on all; where 2 in 100 are good, 1 time in 175

Answer = TypeVar("Answer", bound=Sized)
Model = Callable[[int, int], Answer]  # its answers for the rows from start to stop
Asked = tuple[int, int, Answer | Exception]  # start, stop, and the answers, or why none of these rows has one


def ask(rows: int, model: Model[Answer]) -> Iterator[Asked[Answer]]:
    """The model's answers for stretches of rows, in order, or why they have none.

    1. All at once.  2. If it raises, rows alone, spread over all: where none of them has an answer, none is looked for.
    3. Else both halves, and their halves, until the rows on which it raises are alone.

    What an `AnswerError` says holds for all the rows. A wrong number of answers is looked into only if those of the
    halves add up to it, as where a model leaves rows out: one answer for all rows is no answer for a row asked alone.

    Raises:
        StreamscoreError: the model cannot be asked.
    """
    # 1
    outcome = _try(model, 0, rows)
    # 2
    if isinstance(outcome, Exception) and not isinstance(outcome, AnswerError) and rows > ALONE:
        places = np.linspace(0, rows - 1, ALONE, dtype=int).tolist()
        if all(isinstance(_try(model, place, place + 1), Exception) for place in places):
            outcome.add_note(f"and so for {ALONE} of the {rows} rows, each asked alone")
            yield 0, rows, outcome
            return
    # 3
    yield from _halves(model, 0, rows, outcome)


def reason_of(error: Exception) -> str:
    """What an outcome says, as text for a table."""
    told = error if isinstance(error, AnswerError) else f"{type(error).__name__}: {error}"
    return ", ".join([str(told), *getattr(error, "__notes__", ())])[:1000]


def _halves(model: Model[Answer], start: int, stop: int, outcome: Answer | Exception) -> Iterator[Asked[Answer]]:
    is_whole = not isinstance(outcome, Exception) or stop - start == 1
    if is_whole or (isinstance(outcome, AnswerError) and not isinstance(outcome, OutputCountError)):
        yield start, stop, outcome
        return
    middle = (start + stop) // 2
    asked = [(one, other, _try(model, one, other)) for one, other in ((start, middle), (middle, stop))]
    if isinstance(outcome, OutputCountError) and sum(_count(half) for *_, half in asked) != (outcome.found or -1):
        yield start, stop, outcome
        return
    for half in asked:
        yield from _halves(model, *half)


def _try(model: Model[Answer], start: int, stop: int) -> Answer | Exception:
    try:
        return model(start, stop)
    except StreamscoreError:
        raise
    except Exception as error:  # a model may raise anything; it costs the row, never the query
        return error
    except SystemExit as asked:  # nor does it end the process
        return RuntimeError(f"the model asked to end the process with {asked.code!r}")


def _count(outcome: Sized | Exception) -> float:
    """How many answers it holds; not a number where the model raised."""
    if isinstance(outcome, OutputCountError):
        return outcome.found
    return np.nan if isinstance(outcome, Exception) else len(outcome)
