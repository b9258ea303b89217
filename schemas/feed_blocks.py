"""The blocks of a feed that only some feeds have."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ROUTED_BY = ("string", "int", "long")  # the types of a column that rows are routed by


class RowRouting(BaseModel):
    """Which model scores a row: the one that the table of routes gives to a value of the row.

    Attributes:
        column: whose value is the routing key, by the name of the column.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str


class Series(BaseModel):
    """What a feed of kind `series` does with observations.

    Attributes:
        steps: forecasts after each observation.
        late: an observation older than the newest of its series: `refuse` puts it into quarantine; `keep` takes it
            into the history, without forecasts.
        duplicate: an observation of a time that is there: `refuse`, or `replace` the values and, if it is the newest,
            forecast again.
        gap: an observation whose window has times that are not one `frequency` of the model apart: `mark` it in
            `failure`, without forecasts; `refuse` it if it does not come one frequency after the newest; or `forecast`.
        untrained: an observation of another series than the model was trained on: `mark`, `refuse` or `forecast`.
        ahead_seconds: an observation whose time is further after its file's landing is refused, since all that came
            after it would be late; None: none is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(4, gt=0, strict=True)
    late: Literal["refuse", "keep"] = "refuse"
    duplicate: Literal["refuse", "replace"] = "refuse"
    gap: Literal["mark", "refuse", "forecast"] = "mark"
    untrained: Literal["mark", "refuse", "forecast"] = "mark"
    ahead_seconds: float | None = Field(86_400.0, ge=0, allow_inf_nan=False)
