"""The values of requests → typed rows, by the rules of the stream: what the feed's CSV could not hold is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.serving.requests.contract import Inputs
from schemas.columns import Column
from schemas.dialect import Dialect
from schemas.reasons import Reason
from schemas.tables import TIME
from streamscore.models.example import TEXT
from streamscore.reading.convert import convert
from streamscore.reading.header import Header
from streamscore.reading.rejects import Reject, shorten
from streamscore.reading.rows import Rows, SourceFile

_NONE = type(None)
# The types of Python that hold a value of a column's; a bool is no number, and a number no text.
_HOLD: dict[str, frozenset[type]] = {
    "string": frozenset({str, _NONE}),
    "boolean": frozenset({bool, _NONE}),
    "int": frozenset({int, _NONE}),
    "long": frozenset({int, _NONE}),
    "float": frozenset({int, float, _NONE}),
    "double": frozenset({int, float, _NONE}),
    "date": frozenset({str, date, _NONE}),
    "timestamp": frozenset({str, datetime, _NONE}),
}
_TEXT = frozenset({str, _NONE})
_PLAIN = Dialect()  # in JSON a number is written in one way


@dataclass(frozen=True, slots=True)
class Values:
    """What a request gives: for each input that it has a list of `count` values."""

    columns: Mapping[str, list[Any]]
    count: int


@dataclass(frozen=True, slots=True)
class _JsonText:
    """Where rows of a request come from, for those who tell of them."""

    origin: SourceFile
    first_line: int = 0

    def raw(self, line: int) -> bytes:  # noqa: ARG002  the caller has it
        return b""


def typed(requests: Sequence[Values], inputs: Inputs, text: frozenset[str]) -> tuple[Rows, list[Reject]]:
    """The rows of requests, and those whose values are not of the inputs' types (`bad_type`).

    `source_file` is the number of the request, `source_line` the position of the row in it, both from 0.

    Args:
        text: inputs that the model wants as text though the feed has a type for them; a request gives text.
    """
    arrays: list[pa.Array] = []
    texts: list[pa.Array] = []
    failed: dict[int, tuple[Column, Any]] = {}
    for column in inputs.feed.columns:
        values = _joined(requests, column.name)
        as_text = column.name in text
        array, wrong = as_column(values, column, as_text)
        arrays.append(array)
        if as_text:
            texts.append(pa.array([v if isinstance(v, str) else None for v in values], pa.string()))
        for at in wrong:
            failed.setdefault(at, (column, values[at]))
    counts = [request.count for request in requests]
    of = pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    names = pa.DictionaryArray.from_arrays(of, [str(n) for n in range(len(counts))]).dictionary_decode()
    lines = pa.array(np.concatenate([np.arange(count) for count in counts]))
    landed = pa.array(np.zeros(len(lines), np.int64)).view(TIME)
    columns = [c.table_name for c in inputs.feed.columns]
    columns += [TEXT + c.name for c in inputs.feed.columns if c.name in text]
    table = pa.table([*arrays, *texts, names, lines, landed], [*columns, "source_file", "source_line", "landed_at"])
    header = _header(inputs)
    rows = Rows(table, {str(n): (_JsonText(SourceFile(str(n), 0, header, _PLAIN)),) for n in range(len(counts))})
    if not failed:
        return rows, []
    rejects = [
        Reject(
            names[at].as_py(), lines[at].as_py(), 1, None, None, Reason.BAD_TYPE, column.name, said(value, column), 0
        )
        for at, (column, value) in sorted(failed.items())
    ]
    keep = np.ones(len(lines), np.bool_)
    keep[list(failed)] = False
    return rows.with_table(table.filter(pa.array(keep))), rejects


def _joined(requests: Sequence[Values], name: str) -> list[Any]:
    if len(requests) == 1 and name in requests[0].columns:
        return requests[0].columns[name]
    joined: list[Any] = []
    for request in requests:
        joined += request.columns.get(name) or [None] * request.count
    return joined


def as_column(values: list[Any], column: Column, as_text: bool = False) -> tuple[pa.Array, Sequence[int]]:
    """The values as the column's type, null where they are none; and the positions of those that are none."""
    holds = _TEXT if as_text else _HOLD[column.type]
    kinds = set(map(type, values))
    if not kinds <= holds:
        wrong = [at for at, value in enumerate(values) if type(value) not in holds]
        return _with_nulls(values, wrong, column, as_text)
    if str in kinds and column.type != "string":
        converted = convert(pa.array([_text(v) for v in values], pa.string()), column, _PLAIN)
        return converted.values, converted.failed
    try:
        return pa.array(values, column.arrow_type), ()
    except (pa.ArrowInvalid, OverflowError):
        return _with_nulls(values, [at for at, v in enumerate(values) if not _fits(v, column)], column, as_text)


def _with_nulls(
    values: list[Any], wrong: Sequence[int], column: Column, as_text: bool
) -> tuple[pa.Array, Sequence[int]]:
    left = list(values)
    for at in wrong:
        left[at] = None
    array, more = as_column(left, column, as_text)
    return array, [*wrong, *more]


def _fits(value: Any, column: Column) -> bool:
    try:
        pa.array([value], column.arrow_type)
    except (pa.ArrowInvalid, OverflowError):
        return False
    return True


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, date) else value


def said(value: Any, column: Column) -> str:
    """Why a value is none of a column."""
    if isinstance(value, bool):
        found = str(value).lower()  # as JSON has it
    else:
        found = shorten(value) if isinstance(value, str) else repr(value)[:80]
    return f"found {found}, wanted {column.type}"


def _header(inputs: Inputs) -> Header:
    """A header that the target is not in, as a request has none of it."""
    return Header("", 0, (), frozenset(c.name for c in inputs.feed.columns if c.role == "target"))
