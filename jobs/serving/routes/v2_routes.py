"""The Open Inference Protocol V2, and of the model repository extension what reads."""

from typing import Any

import orjson
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.access.keys import may_ask
from jobs.serving.models.served_model import ServedModel
from jobs.serving.requests.answers import REQUEST_ID, assert_finite, json_answer, v2_error, who
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.v2_tensors import decode_inputs, encode_outputs, input_metadata, output_metadata
from jobs.serving.service import Service, answered, routing
from streamscore import __version__

JSON_SIZE = "inference-header-content-length"


def v2_routes(service: Service) -> list[Route]:
    """The routes below `/v2`."""
    route = routing(service, v2_error)
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [
        route("/v2", _server, "GET"),
        route("/v2/health/live", _live, "GET"),
        route("/v2/health/ready", _ready, "GET"),
        route("/v2/repository/index", _index, "GET", "POST"),
        *(route(model, _metadata, "GET") for model in models),
        *(route(f"{model}/ready", _model_ready, "GET") for model in models),
        *(route(f"{model}/infer", _infer, "POST") for model in models),
    ]


async def _server(_: Service, __: Request, identity: str) -> Response:
    value = {"name": "streamscore", "version": __version__, "extensions": ["binary_tensor_data"]}
    return json_answer(value, headers={REQUEST_ID: identity})


async def _live(_: Service, __: Request, identity: str) -> Response:
    return json_answer({"live": True}, headers={REQUEST_ID: identity})


async def _ready(service: Service, _: Request, identity: str) -> Response:
    is_ready = service.table.is_ready
    return json_answer({"ready": is_ready, "live": True}, 200 if is_ready else 503, {REQUEST_ID: identity})


async def _index(service: Service, _: Request, identity: str) -> Response:
    loaded = {(s.model.name, s.model.version) for s in service.table.loaded().values()}
    found = [{"name": n, "version": v, "state": "READY"} for n, v in sorted(loaded)]
    names = {name for name, _ in loaded}
    found += [{"name": n, "state": "UNAVAILABLE"} for n in await service.table.production() if n not in names]
    return json_answer([one for one in found if may_ask(one["name"])], headers={REQUEST_ID: identity})


async def _model_ready(service: Service, request: Request, identity: str) -> Response:
    served = await service.model(request.path_params["name"], request.path_params.get("version", ""))
    return json_answer({"name": served.model.name, "ready": True}, headers=who(served, identity))


async def _metadata(service: Service, request: Request, identity: str) -> Response:
    served = await _model(service, request)
    value = {
        "name": served.model.name,
        "versions": [served.model.version],
        "platform": "mlflow",
        "inputs": input_metadata(served.inputs),
        "outputs": output_metadata(served.model.output, served.inputs.output),
    }
    return json_answer(value, headers=who(served, identity))


async def _model(service: Service, request: Request) -> ServedModel:
    return await service.rows_model(request.path_params["name"], request.path_params.get("version", ""))


async def _infer(service: Service, request: Request, identity: str) -> Response:
    body = (await service.body(request)).data
    served = await _model(service, request)
    given = request.headers.get(JSON_SIZE, str(len(body)))
    if not given.isdigit() or int(given) > len(body):
        raise RequestError(400, f"{JSON_SIZE} is {given!r}, wanted at most the {len(body)} bytes of the body")
    asked = parse_json(body[: int(given)])
    answer = await answered(served, decode_inputs(asked, body[int(given) :], served.inputs))
    assert_finite(answer.predictions)  # no infinity, in binary data neither: the same request gets the same answer
    return _answer(asked, answer.predictions, served, identity)


def _answer(asked: Any, predictions: pa.Array, served: ServedModel, identity: str) -> Response:
    name = served.inputs.output
    wanted = _wanted(asked, [tensor["name"] for tensor in output_metadata(predictions.type, name)])
    outputs = encode_outputs(predictions, name, wanted)
    value = {
        "model_name": served.model.name,
        "model_version": served.model.version,
        "id": asked.get("id") or identity,
        "outputs": [tensor for tensor, _ in outputs],
    }
    data = b"".join(data for _, data in outputs)
    if not data:
        return json_answer(value, headers=who(served, identity))
    head = orjson.dumps(value)
    headers = who(served, identity) | {JSON_SIZE: str(len(head))}
    return Response(head + data, headers=headers, media_type="application/octet-stream")


def _wanted(asked: Any, names: list[str]) -> dict[str, bool]:
    """The outputs that are asked for, and whether as binary data."""
    every = (asked.get("parameters") or {}).get("binary_data_output") is True
    if not asked.get("outputs"):
        return dict.fromkeys(names, every)
    wanted = {}
    for output in asked["outputs"]:
        name = output.get("name") if isinstance(output, dict) else None
        if name not in names:
            raise RequestError(400, f"no output {name!r}, wanted one of {', '.join(names)}")
        wanted[name] = (output.get("parameters") or {}).get("binary_data", every) is True
    return wanted
