"""An inference request of the Open Inference Protocol V2: rows, params, and the outputs that are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.serving.models.served_model import Asked
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.params import typed_params
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.v2_tensors import decode_inputs, parameters_of


@dataclass(frozen=True, slots=True)
class V2Request:
    """What a request wants.

    Attributes:
        identity: its `id`, which the answer repeats; empty if it has none.
        outputs: the names of the outputs and whether each is wanted as binary data; None: all of them.
        binary: whether outputs of which it does not say so are.
        seconds: that the answer may take; None: it does not say.
    """

    identity: str
    asked: Asked
    outputs: dict[str, bool] | None
    binary: bool
    seconds: float | None = None

    def wanted(self, names: Sequence[str]) -> dict[str, bool]:
        """The outputs to answer with, and whether as binary data.

        Args:
            names: of all outputs of the model.

        Raises:
            RequestError: one that is wanted is not there.
        """
        if self.outputs is None:
            return dict.fromkeys(names, self.binary)
        if unknown := [name for name in self.outputs if name not in names]:
            raise RequestError(400, f"no output '{unknown[0][:100]}', wanted one of {', '.join(names)}")
        return self.outputs


def read_v2_request(body: bytes, json_size: int, inputs: Inputs) -> V2Request:
    """A request, from its body.

    Its parameters that the model's signature has as params are the params; others are of the protocol.

    Args:
        json_size: bytes of JSON, before binary data.

    Raises:
        RequestError: it is not as the protocol says, or not as the model wants it.
    """
    request = parse_json(body[:json_size])
    if not isinstance(request, dict):
        raise RequestError(400, "wanted an object with a list 'inputs'")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RequestError(400, "id is no text, wanted text or none")
    given = parameters_of(request, "the request")
    params, _ = typed_params(given, inputs.params)
    binary = _flag(given, "binary_data_output", False)
    rows = decode_inputs(request.get("inputs"), body[json_size:], inputs)
    asked, outputs = Asked(rows, params, len(body)), _outputs(request.get("outputs"), binary)
    return V2Request(identity or "", asked, outputs, binary, _seconds(given, inputs))


def _outputs(given: Any, binary: bool) -> dict[str, bool] | None:
    if given is None or given == []:
        return None
    if not isinstance(given, list):
        raise RequestError(400, "outputs is no list, wanted a list of objects with a name")
    wanted: dict[str, bool] = {}
    for output in given:
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name in wanted:
            raise RequestError(400, "an output has no name, or that of another one; wanted each once by name")
        wanted[name] = _flag(parameters_of(output, f"output '{name[:100]}'"), "binary_data", binary)
    return wanted


def _seconds(parameters: dict[str, Any], inputs: Inputs) -> float | None:
    """Triton's `timeout`, of microseconds, unless the model has a param of that name; 0 is none."""
    if "timeout" in inputs.params or parameters.get("timeout") is None:
        return None
    value = parameters["timeout"]
    if type(value) is not int or value < 0:
        raise RequestError(400, f"timeout is {value!r:.40}, wanted microseconds as a whole number, or 0 for none")
    return value / 1e6 if value else None


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(400, f"{name} is {value!r:.40}, wanted true or false")
    return value
