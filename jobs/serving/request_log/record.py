"""What is known of a request, noted while it is answered."""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.serving.models.load import Served
from jobs.serving.models.served_model import Answer, Asked, Read, ServedModel
from jobs.serving.models.served_series import Ahead, ServedSeries
from jobs.serving.models.served_series import Asked as AskedAhead
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.params import NO_PARAMS, Params
from jobs.serving.requests.problems import RequestError, RowError
from jobs.serving.requests.values import Values
from streamscore.registry.model_version import ModelVersion

BODY_BYTES = 8192  # of a body that was not understood


@dataclass(frozen=True, slots=True)
class Scored:
    """What one version made of the rows of a request. It keeps the version's contract, not the model.

    Attributes:
        text: inputs that the model wants as text.
        output: the type of a prediction.
        answer: of a model of series, for each series its next steps; None: it has none.
    """

    version: ModelVersion
    inputs: Inputs
    text: frozenset[str]
    output: pa.DataType
    given: Values | Read | None = None
    answer: Answer | list[Ahead] | None = None


@dataclass(slots=True)
class Record:
    """A request.

    Attributes:
        number: in its spool.
        identity: the request id in the answer.
        route: the path with the names of its parts; empty where no route was found for it.
        status: of HTTP; 0 until there is an answer.
        seconds: until the answer.
        scored: what the answering version made of it; None if it did not come so far.
        errors: of rows without a prediction.
        detail: why it was refused.
        body: the begin of a body that was not understood.
        requester: the name of the API key.
        predict_seconds: waiting for the model, and its call.
        shadow: URI of the version that is to be asked beside.
        series: what it is to be asked, of series.
        is_kept: whether the log took it in.
    """

    number: int = 0
    identity: str = ""
    route: str = ""
    status: int = 0
    at: int = field(default_factory=time.time_ns)
    begun: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    scored: Scored | None = None
    errors: tuple[RowError, ...] = ()
    detail: str = ""
    body: bytes = b""
    requester: str = ""
    predict_began: float = 0.0
    predict_seconds: float = 0.0
    params: Params = NO_PARAMS
    trial: str = ""
    shadow: str = ""
    series: AskedAhead | None = None
    is_kept: bool = False
    sampling: float = 1.0

    @property
    def given(self) -> Values | Read | None:
        """The rows that a model was asked for; None: it did not come so far, or they are of series."""
        return self.scored.given if self.scored else None

    @property
    def answered_rows(self) -> int:
        """How many rows, or series, were predicted."""
        answer = self.scored.answer if self.scored and self.status < 400 else None
        return len(answer.predictions) if isinstance(answer, Answer) else len(answer or ())

    @property
    def weight(self) -> int:
        """About how many values it keeps in memory."""
        given = self.given or self.series
        columns = len(self.scored.inputs.names) if self.scored else 0
        return 16 + (given.count * columns if given else 0) + len(self.body) // 64


current: ContextVar[Record | None] = ContextVar("record", default=None)


def note_route(path: str, identity: str) -> None:
    """By which route the request being answered came, and its id."""
    if record := current.get():
        record.route, record.identity = path, identity


def note_canary() -> None:
    """The candidate of a canary answers the request."""
    if record := current.get():
        record.trial = "canary"


def note_shadow(uri: str) -> None:
    """Which candidate is to be asked beside."""
    if record := current.get():
        record.shadow = uri


def note_body(body: bytes) -> None:
    """What the request being answered sent."""
    if record := current.get():
        record.body = body


def note_model(served: Served) -> None:
    """Which version the request being answered has come to."""
    if record := current.get():
        record.scored = scored_by(served)


def note_answer(served: ServedModel, asked: Asked, answer: Answer | None) -> None:
    """What that version made of the rows of the request being answered; None: they wait for it."""
    if record := current.get():
        record.scored, record.params = scored_by(served, asked.rows, answer), asked.params
        if answer is None:
            record.predict_began = time.perf_counter()
        else:
            record.predict_seconds = time.perf_counter() - record.predict_began
            record.errors = tuple(answer.errors)


def note_forecasts(served: ServedSeries, asked: AskedAhead, ahead: Sequence[Ahead]) -> None:
    """The same of series, which are some more of those of the request."""
    if record := current.get():
        record.series = asked if record.shadow else None
        before = record.scored.answer if record.scored else None
        record.scored = scored_by(served, answer=[*(before if isinstance(before, list) else ()), *ahead])


def note_refusal(error: RequestError) -> None:
    """Why the request being answered is refused."""
    if record := current.get():
        record.detail = error.detail
        record.errors = record.errors or tuple(error.errors)


def scored_by(served: Served, given: Values | Read | None = None, answer: Answer | list[Ahead] | None = None) -> Scored:
    """What a version made of rows."""
    model = served.model
    text = served.model.text_columns if isinstance(served, ServedModel) else frozenset()
    return Scored(model.identity, served.inputs, text, model.output, given, answer)
