"""What a request can be refused for: a status, what was found and wanted, and the rows and columns to blame."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.reasons import Reason

MAX_SHOWN = 100  # rows that are listed in one answer


_PATH = re.compile(r"(?<![\w:/.])(?:/[^\s'\",:;()]+){2,}")


def without_paths(text: str) -> str:
    """What a library or a model says, without where files are on this machine; URIs stay."""
    return _PATH.sub("…", text)


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row of a request is not answered.

    Attributes:
        row: its position in the request, from 0; of a CSV body the line that it begins on, from 1.
        column: the column that is to blame, if one is.
        reason: a code of the stream's quarantine.
        detail: what was found and wanted.
    """

    row: int | None
    column: str | None
    reason: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        return {"row": self.row, "column": self.column, "reason": self.reason, "detail": self.detail}

    @property
    def text(self) -> str:
        """In one line."""
        where = [f"row {self.row}"] if self.row is not None else []
        where += [f"column '{self.column}'"] if self.column else []
        return f"{', '.join(where)}: {self.reason}: {self.detail}" if where else f"{self.reason}: {self.detail}"


class RequestError(Exception):
    """A request that is refused; each protocol says it in its own words.

    Attributes:
        status: of HTTP.
        detail: what was found and wanted, without anything of this machine.
        errors: the rows that are to blame.
        headers: more headers of the answer.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[RowError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})


def refused_rows(errors: Sequence[RowError]) -> RequestError:
    """The refusal of a request some of whose rows cannot be answered."""
    status = 422 if {e.reason for e in errors} <= {Reason.MODEL_ERROR, Reason.BAD_PREDICTION} else 400
    more = f"; {len(errors):,} rows in all" if len(errors) > 1 else ""
    return RequestError(status, errors[0].text + more, errors[:MAX_SHOWN])
