"""A loaded version that answers requests: values in, predictions and the rows that have none out."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.serving.models.batcher import Batcher, Weight, bounds_of
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.params import NO_PARAMS, Params
from jobs.serving.requests.problems import RowError, without_paths
from jobs.serving.requests.values import Values, typed
from schemas.reasons import Reason
from schemas.settings import Serving
from streamscore.models.example import probe
from streamscore.models.row_model import Model
from streamscore.reading.rejects import rejects_table
from streamscore.reading.rows import Rows
from streamscore.reading.validate import validate
from streamscore.scoring.predict import predict

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


@dataclass(frozen=True, slots=True)
class Read:
    """Rows that were read from a body as the stream reads a file, and what it refused of them."""

    rows: Rows
    rejects: pa.Table

    @property
    def count(self) -> int:
        return self.rows.table.num_rows + self.rejects.num_rows


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants predictions of.

    Attributes:
        params: requests with others are predicted in other calls.
        size: bytes of its body.
    """

    rows: Values | Read
    params: Params = NO_PARAMS
    size: int = 0

    @property
    def weight(self) -> Weight:
        return Weight(max(1, self.rows.count), self.size)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one request.

    Attributes:
        predictions: one for each row that has one.
        rows: the positions of those rows in the request; None if they are all.
        errors: why the others have none.
    """

    predictions: pa.Array
    rows: Sequence[int] | None = None
    errors: Sequence[RowError] = ()


@dataclass(frozen=True)
class ServedModel:
    """One version, ready to answer.

    Attributes:
        digest: SHA-256 of its files.
        records: the column under which MLflow shows each prediction, if it shows records: of a frame or a series.
    """

    model: Model
    signature: "ModelSignature"
    inputs: Inputs
    digest: str
    records: str | None
    batcher: "Batcher[Asked, Answer]"

    @classmethod
    def of(
        cls, model: Model, signature: "ModelSignature", inputs: Inputs, digest: str, pool: Executor, settings: Serving
    ) -> "ServedModel":
        """With a queue of its own."""

        def answer(requests: Sequence[Asked]) -> list[Answer]:
            asked = model.with_params(requests[0].params.values)
            return answer_all([request.rows for request in requests], asked, inputs)

        batcher = Batcher(
            answer, pool, lambda asked: asked.weight, bounds_of(settings), lambda asked: asked.params.text
        )
        return cls(model, signature, inputs, digest, _records(model, inputs), batcher)

    async def predict(self, asked: Asked, partly: bool = False) -> Answer:
        """The answer to one request, predicted with those that wait beside it.

        Args:
            partly: whether an answer without some rows is one for the caller; else it counts as failed.

        Raises:
            RequestError: too much waits.
        """
        begun = time.perf_counter_ns()
        statistics = self.batcher.statistics
        try:
            answer = await self.batcher.ask(asked)
        except Exception:
            statistics.fail.add(time.perf_counter_ns() - begun)
            raise
        if answer.errors and not partly:
            statistics.fail.add(time.perf_counter_ns() - begun)
        else:
            statistics.answered(len(answer.predictions), time.perf_counter_ns() - begun)
        return answer


def _records(model: Model, inputs: Inputs) -> str | None:
    """What the model returns for a made-up row decides."""
    import pandas as pd

    try:
        answer = model.answer(probe(inputs.feed, model.text_columns))
    except Exception:  # it may want better rows than made-up ones
        return None
    if isinstance(answer, pd.Series):
        return "0"
    return str(answer.columns[0]) if isinstance(answer, pd.DataFrame) else None


def answer_all(requests: Sequence[Values | Read], model: Model, inputs: Inputs) -> list[Answer]:
    """The answers to requests, in their order: all that came as values is predicted in one call."""
    answers: list[Answer | None] = [None] * len(requests)
    together = [at for at, request in enumerate(requests) if isinstance(request, Values)]
    if together:
        found = _answer_values([r for r in requests if isinstance(r, Values)], model, inputs)
        for at, answer in zip(together, found, strict=True):
            answers[at] = answer
    for at, request in enumerate(requests):
        if isinstance(request, Read):
            answers[at] = _answer_rows(request, model, inputs)
    return [answer for answer in answers if answer is not None]


def _answer_values(requests: Sequence[Values], model: Model, inputs: Inputs) -> list[Answer]:
    rows, untyped = typed(requests, inputs, model.text_columns)
    rows, invalid = validate(rows, inputs.feed)
    predicted, failed = predict(rows, model)
    predictions = _flat(predicted["prediction"], model)
    if not untyped and not invalid.num_rows and not failed.num_rows:
        answers, start = [], 0
        for request in requests:
            answers.append(Answer(predictions.slice(start, request.count)))
            start += request.count
        return answers
    rejects = pa.concat_tables([rejects_table(untyped), invalid, failed])
    of_row = predicted["source_file"].to_pylist()
    lines = predicted["source_line"].to_pylist()
    errors = row_errors(rejects)
    answers = []
    for number in range(len(requests)):
        mine = [at for at, name in enumerate(of_row) if name == str(number)]
        answers.append(
            Answer(
                predictions.take(pa.array(mine, pa.int64())), [lines[at] for at in mine], errors.get(str(number), ())
            )
        )
    return answers


def _answer_rows(request: Read, model: Model, inputs: Inputs) -> Answer:
    rows, invalid = validate(request.rows, inputs.feed)
    predicted, failed = predict(rows, model)
    rejects = pa.concat_tables([request.rejects, invalid, failed])
    errors = [error for found in row_errors(rejects).values() for error in found]
    lines = predicted["source_line"].to_pylist() if errors else None
    return Answer(_flat(predicted["prediction"], model), lines, sorted(errors, key=lambda e: e.row or 0))


def _flat(predictions: pa.ChunkedArray, model: Model) -> pa.Array:
    if predictions.num_chunks == 1:
        return predictions.chunk(0)
    return pa.concat_arrays(predictions.chunks) if predictions.num_chunks else pa.array([], model.output)


def row_errors(rejects: pa.Table) -> dict[str, list[RowError]]:
    """Why rows have no prediction, by the number of their request, in the order of its rows."""
    found: dict[str, list[RowError]] = {}
    for reject in rejects.sort_by("source_line").to_pylist():
        is_models = reject["reason"] == Reason.MODEL_ERROR
        detail = without_paths(reject["detail"]) if is_models else reject["detail"]
        error = RowError(reject["source_line"], reject["column"], reject["reason"], detail)
        found.setdefault(reject["source_file"], []).append(error)
    return found
