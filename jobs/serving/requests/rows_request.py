"""What a request for predictions says: its rows, and the params beside them."""

import difflib

from jobs.serving.models.served_model import Asked
from jobs.serving.requests.body import Body
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.params import typed_params
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.tabular import JSON_KEYS, decode, is_json, of_json

KEYS = (*JSON_KEYS, "params")
ALIKE = 0.75  # of a key that is ignored and one that is not: more is taken for a slip


def read_rows_request(
    body: Body, inputs: Inputs, text: frozenset[str], ignores: bool = False
) -> tuple[Asked, tuple[str, ...]]:
    """A request for predictions, and what it says that nobody reads.

    Args:
        text: inputs that the model wants as text.
        ignores: whether other keys and params are left aside, as by MLflow's server, or refused; what looks like a
            slip is always refused.

    Raises:
        RequestError: the body is not understood.
    """
    if not is_json(body):
        return Asked(decode(body, inputs, text), size=len(body.data)), ()
    value = parse_json(body.data)
    rows = of_json(value, inputs)
    if len(value) == 1:
        return Asked(rows, size=len(body.data)), ()
    params, unknown = typed_params(value.get("params"), inputs.params)
    others = [key for key in value if key not in KEYS]
    for key in others:
        if near := difflib.get_close_matches(key, KEYS, 1, ALIKE):
            raise RequestError(400, f"found '{key[:40]}', wanted one of {', '.join(KEYS)}; did you mean '{near[0]}'?")
    if others and not ignores:
        raise RequestError(400, f"found '{others[0][:40]}', wanted one of {', '.join(KEYS)}")
    if unknown and not ignores:
        there = ", ".join(inputs.params) or "none"
        raise RequestError(400, f"found param '{unknown[0][:40]}', the signature has {there}")
    return Asked(rows, params, len(body.data)), (*others, *(f"params.{name}" for name in unknown))
