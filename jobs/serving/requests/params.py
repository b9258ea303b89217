"""What a request says to the model beside its rows: params, typed by the signature's schema as rows are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from jobs.serving.requests.contract import Param
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.values import as_column, said


@dataclass(frozen=True, slots=True)
class Params:
    """What a request gives; the schema's defaults stand for what it does not give.

    Attributes:
        values: by name, as the model takes them.
        text: requests with the same text have the same values.
    """

    values: Mapping[str, Any]
    text: bytes


NO_PARAMS = Params({}, b"")


def typed_params(given: Any, schema: Mapping[str, Param]) -> tuple[Params, tuple[str, ...]]:
    """The params in an object, and the names in it that the schema does not have.

    Raises:
        RequestError: it is no object, or a value is not of its param's type.
    """
    if given is None:
        return NO_PARAMS, ()
    if not isinstance(given, dict):
        raise RequestError(400, "params is no object, wanted one with the params of the signature by name")
    known = {name: value for name, value in given.items() if name in schema}
    unknown = tuple(name for name in given if name not in schema)
    if not known:
        return NO_PARAMS, unknown
    values = {name: _typed(value, schema[name]) for name, value in known.items()}
    return Params(values, orjson.dumps(known, option=orjson.OPT_SORT_KEYS)), unknown


def _typed(value: Any, param: Param) -> Any:
    column, spec = param.column, param.spec
    if value is None and spec.default is None:
        return None
    if column is None:
        return _object(value, param)
    if param.is_list and not isinstance(value, list):
        raise RequestError(400, f"param '{spec.name}': {said(value, column)}, in a list")
    values = value if param.is_list else [value]
    if None in values:
        raise RequestError(400, f"param '{spec.name}': found null, wanted {column.type}")
    array, wrong = as_column(values, column)
    if wrong:
        where = f", element {wrong[0]}" if param.is_list else ""
        raise RequestError(400, f"param '{spec.name}'{where}: {said(values[wrong[0]], column)}")
    typed = [_naive(one) if isinstance(one, datetime) else one for one in array.to_pylist()]
    return typed if param.is_list else typed[0]


def _naive(time: datetime) -> datetime:
    """As MLflow has times: UTC, and not saying so."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def _object(value: Any, param: Param) -> Any:
    """By MLflow's own rules; it has the only ones for objects."""
    from mlflow.exceptions import MlflowException

    try:
        return param.spec.validate_param_spec(value, param.spec)
    except MlflowException as error:
        detail = f"param '{param.spec.name}' is not as the signature has it, wanted {param.spec.dtype}"
        raise RequestError(400, detail) from error
