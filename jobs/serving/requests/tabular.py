"""The formats of bodies that hold a table: MLflow's JSON, CSV, Parquet and Arrow → values or rows of the inputs."""

import contextlib
import difflib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from jobs.serving.models.served_model import Read
from jobs.serving.requests.body import Body
from jobs.serving.requests.columnar import ARROW, PARQUET, read_columns
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError, RowError, refused_rows
from jobs.serving.requests.values import Values, typed
from schemas.reasons import Reason
from streamscore.landing.manifest import LandedFile
from streamscore.reading.options import ReadOptions
from streamscore.reading.read import read_chunks
from streamscore.reading.rejects import NO_REJECTS, FileRejectedError

JSON_KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
KINDS = ("application/json", "text/csv", PARQUET, ARROW)


def decode(body: Body, inputs: Inputs, text: frozenset[str]) -> Values | Read:
    """The rows of a body.

    Raises:
        RequestError: it is in no known format, or lacks or has too many columns.
    """
    if is_json(body):
        return of_json(parse_json(body.data), inputs)
    if body.kind == "text/csv":
        return _of_csv(body.data, inputs, text)
    if body.kind in (PARQUET, ARROW):
        found = read_columns(body)
        _assert_once(found.names)
        return of_columns(dict(zip(found.names, found.values, strict=True)), inputs, found.rows)
    raise RequestError(415, f"content-type is {body.kind!r}, wanted one of {', '.join(KINDS)}")


def is_json(body: Body) -> bool:
    """Whether a body is JSON; one without a type is, if it begins as an object."""
    return body.kind == "application/json" or (not body.kind and body.data.lstrip()[:1] == b"{")


def of_records(records: Sequence[Any], inputs: Inputs) -> Values:
    """Rows as objects, each with the inputs by name; what the model does not need may be missing."""
    if set(map(type, records)) - {dict}:
        at, record = next((at, one) for at, one in enumerate(records) if not isinstance(one, dict))
        raise RequestError(400, f"row {at} is {_kind(record)}, wanted an object with the inputs by name")
    names = records[0].keys() if records else ()
    if len(set(map(len, records))) <= 1:
        with contextlib.suppress(KeyError):  # of as many names, all have the same
            found = {name: list(map(itemgetter(name), records)) for name in names}
            return of_columns(found, inputs, len(records))
    for at, record in enumerate(records):
        _assert_names(record, inputs, at)
    every = {name: [record.get(name) for record in records] for record in records for name in record}
    return Values(every, len(records))


def of_columns(columns: Mapping[str, list[Any]], inputs: Inputs, count: int) -> Values:
    """Rows as lists of values by input."""
    if count or columns:
        _assert_names(columns, inputs)
    for name, values in columns.items():
        if not isinstance(values, list) or len(values) != count:
            found = f"{len(values)} values" if isinstance(values, list) else _kind(values)
            raise RequestError(400, f"column '{name}' has {found}, wanted a list of {count} values")
    return Values(columns, count)


def of_lists(rows: Sequence[Any], names: Sequence[str], inputs: Inputs) -> Values:
    """Rows as lists of values in the order of `names`."""
    width = len(names)
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            found = f"{len(row)} values" if isinstance(row, list) else _kind(row)
            raise RequestError(400, f"row {at} has {found}, wanted a list of {width}: {', '.join(names)}")
    return of_columns({name: [row[at] for row in rows] for at, name in enumerate(names)}, inputs, len(rows))


def of_json(value: Any, inputs: Inputs) -> Values:
    """The rows in an object, under one of JSON_KEYS."""
    if not isinstance(value, dict):
        raise RequestError(400, f"the body is {_kind(value)}, wanted an object with one of {', '.join(JSON_KEYS)}")
    given = [key for key in JSON_KEYS if key in value]
    if len(given) != 1:
        found = ", ".join(given) or ", ".join(map(repr, list(value)[:5])) or "an empty object"
        raise RequestError(400, f"found {found}, wanted one of {', '.join(JSON_KEYS)}")
    (key,) = given
    rows = value[key]
    if key == "dataframe_split":
        return _of_split(rows, inputs)
    if isinstance(rows, dict) and key == "inputs":
        count = max((len(v) for v in rows.values() if isinstance(v, list)), default=0)
        return of_columns(rows, inputs, count)
    if not isinstance(rows, list):
        raise RequestError(400, f"{key} is {_kind(rows)}, wanted a list of rows")
    if key == "dataframe_records" or (rows and isinstance(rows[0], dict)):
        return of_records(rows, inputs)
    if not inputs.is_tensor and len(inputs.names) > 1:
        raise RequestError(400, f"{key} has rows without names, wanted objects with {', '.join(inputs.names)}")
    if len(inputs.names) == 1 and rows and not isinstance(rows[0], list):
        rows = [[value] for value in rows]
    return of_lists(rows, inputs.names, inputs)


def _of_split(value: Any, inputs: Inputs) -> Values:
    if not isinstance(value, dict) or "data" not in value or set(value) - {"columns", "data", "index"}:
        raise RequestError(400, "dataframe_split wants an object with columns and data, and may have index")
    data, names = value["data"], value.get("columns")
    if names is None and inputs.is_tensor:
        names = list(inputs.names)
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise RequestError(400, f"dataframe_split.columns is {_kind(names)}, wanted the names of the inputs")
    if not isinstance(data, list):
        raise RequestError(400, f"dataframe_split.data is {_kind(data)}, wanted a list of rows")
    names = [str(name) for name in names]
    _assert_once(names)
    return of_lists(data, names, inputs)


def _of_csv(data: bytes, inputs: Inputs, text: frozenset[str]) -> Read:
    """As the stream reads a file that landed."""
    options = ReadOptions("file:///", 2**31, text, open_landed=lambda _: _Bytes(data))
    try:
        found = list(read_chunks([LandedFile("file:///request.csv", len(data), 0)], inputs.feed, options))
    except FileRejectedError as error:
        raise RequestError(400, error.refusal.detail) from error
    if not found:
        return Read(typed([Values({}, 0)], inputs, text)[0], NO_REJECTS)
    ((rows, rejects),) = found
    if rejects.num_rows == 1 and rejects["source_line"][0].as_py() is None:
        refused = rejects.to_pylist()[0]
        raise refused_rows([RowError(None, refused["column"], refused["reason"], refused["detail"])])
    return Read(rows, rejects)


def _assert_once(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise refused_rows([RowError(None, twice[0], Reason.DUPLICATE_COLUMN, "found twice, wanted once")])


def _assert_names(given: Mapping[str, Any], inputs: Inputs, row: int | None = None) -> None:
    """Hold the names of a request, or of one of its rows, against the inputs."""
    columns = {column.name: column for column in inputs.feed.columns}
    for name in given:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1) or [n for n in columns if n.lower() == name.lower()]
            hint = f"; did you mean '{near[0]}'?" if near else f"; the inputs are {', '.join(inputs.names)}"
            raise refused_rows([RowError(row, name, Reason.EXTRA_COLUMN, f"no input of this model{hint}")])
    for column in inputs.feed.columns:
        if column.name not in given and not column.nullable:
            raise refused_rows([RowError(row, column.name, Reason.MISSING_COLUMN, f"not there, wanted {column.type}")])


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


class _Bytes:
    """A body as the file that the stream reads."""

    def __init__(self, data: bytes) -> None:
        self._data, self._file = data, io.BytesIO(data)

    def content(self) -> tuple[int, int]:
        return len(self._data), 0

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()
