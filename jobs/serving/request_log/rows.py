"""What was noted of requests → rows of the table `requests`."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.serving.models.served_model import Answer, Read
from jobs.serving.models.served_series import Ahead
from jobs.serving.request_log.json_rows import json_of, row_json
from jobs.serving.request_log.record import Record, Scored
from jobs.serving.requests.problems import RowError
from jobs.serving.requests.values import Values, typed
from schemas.feed import Feed
from schemas.tables import REQUEST_FIELDS, SERVICE, forecast_type, requests_schema

_TYPES = {one.name: one.type for one in REQUEST_FIELDS}
_SAID = "reason", "column", "detail"  # of a row without a prediction


@dataclass(frozen=True, slots=True)
class LogRows:
    """Rows for the table of one feed.

    Attributes:
        feed: its name, or `serving`.
        requests: how many requests they are of; a shadow's rows are of none.
    """

    feed: str
    rows: pa.Table
    requests: int


@dataclass(slots=True)
class _Lines:
    """Rows of some requests.

    Attributes:
        of: the position of the request among them, for each row.
        at: the row's number in its request; null: the request as a whole.
        values: the columns that this kind of row has, by their names in the table; the others are null.
        errors, raw: by position.
    """

    of: "np.ndarray[Any, Any]"
    at: pa.Array
    values: dict[str, pa.Array] = field(default_factory=dict)
    errors: dict[int, RowError] = field(default_factory=dict)
    raw: dict[int, str] = field(default_factory=dict)


def log_rows(records: Iterable[Record], app_id: str, leave_out: Collection[str] = ()) -> list[LogRows]:
    """The rows of requests, for each table in one piece; each request has at least one.

    Args:
        app_id: of the spool.
        leave_out: columns by their names in requests; nothing that may be of them is logged.
    """
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(_kind(record), []).append(record)
    found: dict[Any, list[LogRows]] = {}
    for group in groups.values():
        scored = group[0].scored
        feed = scored.inputs.feed if scored and scored.inputs.feed.name else None
        lines = _lines(group, feed, leave_out)
        schema = requests_schema(feed, scored.output if scored else pa.null())
        rows = pa.table(_columns(group, lines, schema, app_id, leave_out), schema=schema)
        of = LogRows(feed.name if feed else SERVICE, rows, sum(record.trial != "shadow" for record in group))
        found.setdefault((of.feed, schema), []).append(of)
    return [joined(some) for some in found.values()]


def joined(some: Sequence[LogRows]) -> LogRows:
    """Rows of one schema in one piece."""
    rows = some[0].rows if len(some) == 1 else pa.concat_tables([one.rows for one in some])
    return LogRows(some[0].feed, rows, sum(one.requests for one in some))


def _kind(record: Record) -> Any:
    """Requests of one kind become rows together."""
    scored = record.scored
    if scored is None:
        return None
    if isinstance(scored.answer, list):
        kind: Any = "series"
    elif isinstance(scored.given, Read):
        kind = id(record)
    else:
        kind = "values" if scored.given is not None and scored.given.count else "whole"
    return id(scored.inputs), scored.version, scored.output, kind


def _lines(group: Sequence[Record], feed: Feed | None, leave_out: Collection[str]) -> _Lines:
    scored = group[0].scored
    if scored is not None and isinstance(scored.answer, list):
        return _of_series(group, scored, feed)
    if scored is not None and isinstance(scored.given, Read) and scored.given.count:
        return _of_file(group[0], scored, scored.given, feed, leave_out)
    if scored is not None and isinstance(scored.given, Values) and scored.given.count:
        return _of_values(group, scored, feed, leave_out)
    bodies = {} if leave_out else {at: record.body for at, record in enumerate(group) if record.body}
    raw = {at: body.decode("utf-8", "backslashreplace") for at, body in bodies.items()}
    return _Lines(np.arange(len(group)), pa.nulls(len(group), pa.int64()), raw=raw)


def _of_values(group: Sequence[Record], scored: Scored, feed: Feed | None, leave_out: Collection[str]) -> _Lines:
    """Rows that were sent as values."""
    requests = [record.given for record in group if isinstance(record.given, Values)]
    rows, untyped = typed(requests, scored.inputs, scored.text)
    table = rows.table
    of = _with(table["source_file"].cast(pa.int64()), [int(reject.source_file) for reject in untyped])
    at = _with(table["source_line"], [reject.source_line for reject in untyped])
    starts = np.concatenate([[0], np.cumsum([values.count for values in requests])])
    lines = _Lines(of, pa.array(at), errors=_errors(group, of, at))
    as_json = range(len(of)) if feed is None else range(table.num_rows, len(of))
    for line in as_json:
        lines.raw[line] = row_json(requests[of[line]], at[line], leave_out)
    if feed is not None:
        lines.values |= _with_nulls(table, feed, len(untyped))
    index, predictions = _places(group, [values.count for values in requests])
    lines.values["prediction"] = _taken(predictions, index[starts[of] + at], scored.output, feed)
    return lines


def _places(group: Sequence[Record], counts: Sequence[int]) -> tuple[Any, list[pa.Array]]:
    """The predictions of requests one after the other, and of each row of theirs which one it has; -1: none."""
    answers = [_answer(record) for record in group]
    predictions = [answer.predictions for answer in answers if answer is not None]
    if len(predictions) == len(group) and all(answer is not None and answer.rows is None for answer in answers):
        return np.arange(sum(counts)), predictions
    index = np.full(sum(counts), -1)
    start = given = 0
    for answer, count in zip(answers, counts, strict=True):
        if answer is not None:
            found = len(answer.predictions)
            of = slice(start, start + count) if answer.rows is None else start + np.array(answer.rows, np.int64)
            index[of] = np.arange(given, given + found)
            given += found
        start += count
    return index, predictions


def _of_file(record: Record, scored: Scored, given: Read, feed: Feed | None, leave_out: Collection[str]) -> _Lines:
    """Rows of a body that was read as the stream reads a file."""
    table, rejects = given.rows.table, given.rejects
    at = _with(table["source_line"], rejects["source_line"].to_pylist())
    of = np.zeros(len(at), np.int64)
    lines = _Lines(of, pa.array(at), errors=_errors([record], of, at))
    if feed is not None:
        lines.values |= _with_nulls(table, feed, rejects.num_rows)
    else:
        names = [column.table_name for column in scored.inputs.feed.columns if column.name not in leave_out]
        lines.raw = {line: json_of(row) for line, row in enumerate(table.select(names).to_pylist())}
    if not leave_out:
        lines.raw |= {n: raw for n, raw in enumerate(rejects["raw"].to_pylist(), table.num_rows) if raw is not None}
    answer, index = _answer(record), np.full(len(at), -1)
    if answer is not None:
        answered = at[: table.num_rows].tolist() if answer.rows is None else answer.rows
        whose = {line: number for number, line in enumerate(answered)}
        index = np.array([whose.get(line, -1) for line in at.tolist()], np.int64)
    predictions = [answer.predictions] if answer is not None and len(answer.predictions) else []
    lines.values["prediction"] = _taken(predictions, index, scored.output, feed)
    return lines


def _of_series(group: Sequence[Record], scored: Scored, feed: Feed | None) -> _Lines:
    """The steps of forecasts."""
    lines: list[tuple[int, int, int, Ahead]] = []
    for of, record in enumerate(group):
        assert record.scored and isinstance(record.scored.answer, list)
        for at, ahead in enumerate(record.scored.answer):
            lines += [(of, at, step, ahead) for step in range(len(ahead.values))]
    whose, places = (np.array([line[n] for line in lines], np.int64) for n in (0, 1))
    found = _Lines(whose, pa.array(places))
    if feed is None:
        names = [one.name for one in scored.output]
        shown = [dict(zip(names, ahead.values[step].ravel().tolist(), strict=True)) for *_, step, ahead in lines]
        found.values["prediction"] = pa.array([json_of(one) for one in shown], pa.string())
        found.raw = {
            line: json_of(a.key | {"after": a.after, "step": step + 1}) for line, (*_, step, a) in enumerate(lines)
        }
        return found
    for column in feed.keys:
        found.values[column.table_name] = pa.array([a.key[column.name] for *_, a in lines], column.arrow_type)
    found.values[feed.time.table_name] = pa.array([ahead.after for *_, ahead in lines], feed.time.arrow_type)
    found.values["step"] = pa.array([step + 1 for *_, step, _ in lines], pa.int32())
    numbers = np.array([ahead.values[step].ravel() for *_, step, ahead in lines])
    for number, one in enumerate(forecast_type(feed)):
        found.values[one.name] = pa.array(numbers[:, number], pa.float64())
    return found


def _columns(
    group: Sequence[Record], lines: _Lines, schema: pa.Schema, app_id: str, leave_out: Collection[str]
) -> list[pa.Array]:
    """The columns of the table, in its order."""
    scored = group[0].scored
    left = {c.table_name for c in scored.inputs.feed.columns if c.name in leave_out} if scored else set()
    said = _of_requests(group, app_id, lines.of) | _of_rows(group, lines, leave_out)
    nothing = len(lines.at)
    return [
        said[one.name]
        if one.name in said
        else lines.values[name]
        if (name := one.name.removesuffix("_")) in lines.values and name not in left
        else pa.nulls(nothing, one.type)
        for one in schema
    ]


def _of_requests(group: Sequence[Record], app_id: str, of: "np.ndarray[Any, Any]") -> dict[str, pa.Array]:
    """What is the same for all rows of a request."""
    version = group[0].scored.version if group[0].scored else None
    of_all = {
        "model_name": version and version.name,
        "model_version": version and version.version,
        "model_run_id": version and version.run_id,
        "app_id": app_id,
    }
    of_each: dict[str, list[Any]] = {
        "trial": [record.trial or None for record in group],
        "request_number": [record.number for record in group],
        "request_id": [record.identity for record in group],
        "request_route": [record.route or None for record in group],
        "request_params": [record.params.text.decode() or None for record in group],
        "request_status": [record.status for record in group],
        "requested_at": [record.at // 1000 for record in group],
        "request_seconds": [record.seconds for record in group],
        "requester": [record.requester or None for record in group],
        "sampling": [record.sampling for record in group],
    }
    whose = pa.array(of)
    found = {name: pa.repeat(pa.scalar(value, _TYPES[name]), len(whose)) for name, value in of_all.items()}
    return found | {name: pa.array(values, _TYPES[name]).take(whose) for name, values in of_each.items()}


def _of_rows(group: Sequence[Record], lines: _Lines, leave_out: Collection[str]) -> dict[str, pa.Array]:
    """What is said of each row; the column, reason and detail of the request where the row has none of its own."""
    whole = zip(*(_whole(record, leave_out) for record in group), strict=True)
    whose = pa.array(lines.of)
    found = {name: pa.array(said, pa.string()).take(whose) for name, said in zip(_SAID, whole, strict=True)}
    if lines.errors:
        own = {n: (e.reason, e.column, None if e.column in leave_out else e.detail) for n, e in lines.errors.items()}
        for place, name in enumerate(_SAID):
            said = found[name].to_pylist()
            for line, one in own.items():
                said[line] = one[place]
            found[name] = pa.array(said, pa.string())
    count = len(lines.at)
    raw = pa.array([lines.raw.get(n) for n in range(count)], pa.string()) if lines.raw else pa.nulls(count, pa.string())
    return found | {"raw": raw, "request_row": lines.at}


def _whole(record: Record, leave_out: Collection[str]) -> tuple[str | None, str | None, str | None]:
    blamed = next((error for error in record.errors if error.row is None), None)
    tells = any(error.column in leave_out for error in record.errors)
    detail = None if tells else record.detail or None
    return (blamed.reason, blamed.column, detail) if blamed else (None, None, detail)


def _with(values: pa.ChunkedArray, more: Sequence[int | None]) -> "np.ndarray[Any, Any]":
    """The numbers, and more behind them."""
    found = values.to_numpy()
    return np.concatenate([found, np.array(more, np.int64)]) if more else found


def _errors(group: Sequence[Record], of: "np.ndarray[Any, Any]", at: "np.ndarray[Any, Any]") -> dict[int, RowError]:
    if not any(record.errors for record in group):
        return {}
    where = {place: line for line, place in enumerate(zip(of.tolist(), at.tolist(), strict=True))}
    named = [((number, error.row), error) for number, record in enumerate(group) for error in record.errors]
    return {where[place]: error for place, error in named if place in where}


def _answer(record: Record) -> Answer | None:
    """What the caller, or a shadow, got: of a request that was refused nothing, though some rows may have an answer."""
    answer = record.scored.answer if record.scored else None
    return answer if isinstance(answer, Answer) and record.status < 400 else None


def _taken(predictions: Sequence[pa.Array], index: Any, output: pa.DataType, feed: Feed | None) -> pa.Array:
    """The predictions of rows, null where there is none."""
    if not predictions:
        return pa.nulls(len(index), output if feed else pa.string())
    found = pa.concat_arrays(predictions).take(pa.array(index, pa.int64(), mask=index < 0))
    texts = () if feed else (None if one is None else json_of(one) for one in found.to_pylist())
    return found if feed else pa.array(texts, pa.string())


def _with_nulls(table: pa.Table, feed: Feed, more: int) -> dict[str, pa.Array]:
    """The feed's columns with so many nulls after their values."""
    columns = {}
    for column in feed.columns:
        chunks = [*table[column.table_name].chunks, *([pa.nulls(more, column.arrow_type)] if more else [])]
        columns[column.table_name] = pa.chunked_array(chunks, column.arrow_type)
    return columns
