"""The Open Inference Protocol V2, with Triton's extensions of binary data and statistics."""

import orjson
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.access.keys import may_ask
from jobs.serving.models.served_model import ServedModel
from jobs.serving.requests.answers import REQUEST_ID, assert_finite, json_answer, v2_error, who
from jobs.serving.requests.patience import give_less_time
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.v2_request import V2Request, read_v2_request
from jobs.serving.requests.v2_tensors import encode_outputs, input_metadata, output_metadata
from jobs.serving.service import Service, answered, in_path, routing
from streamscore import __version__

EXTENSIONS = ["binary_tensor_data", "model_repository", "statistics"]
JSON_SIZE = "inference-header-content-length"


def v2_routes(service: Service) -> list[Route]:
    """The routes below `/v2`."""
    route = routing(service, v2_error)
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [
        route("/v2", _server, "GET"),
        route("/v2/health/live", _live, "GET"),
        route("/v2/health/ready", _ready, "GET"),
        route("/v2/models/stats", _stats, "GET"),
        *(route(model, _metadata, "GET") for model in models),
        *(route(f"{model}/ready", _model_ready, "GET") for model in models),
        *(route(f"{model}/stats", _stats, "GET") for model in models),
        *(route(f"{model}/infer", _infer, "POST") for model in models),
    ]


async def _server(_: Service, __: Request, identity: str) -> Response:
    value = {"name": "streamscore", "version": __version__, "extensions": EXTENSIONS}
    return json_answer(value, headers={REQUEST_ID: identity})


async def _live(_: Service, __: Request, identity: str) -> Response:
    return json_answer({"live": True}, headers={REQUEST_ID: identity})


async def _ready(service: Service, _: Request, identity: str) -> Response:
    is_ready = service.table.is_ready
    return json_answer({"ready": is_ready, "live": True}, 200 if is_ready else 503, {REQUEST_ID: identity})


async def _model_ready(service: Service, request: Request, identity: str) -> Response:
    served = await service.model(*in_path(request))
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
    return await service.rows_model(*in_path(request))


async def _stats(service: Service, request: Request, identity: str) -> Response:
    name, version = request.path_params.get("name"), request.path_params.get("version", "")
    served = service.table.loaded_versions() if name is None else service.loaded(name, version)
    served = [one for one in served if may_ask(one.model.name)]
    found = [one.batcher.statistics.to_json(one.model.name, one.model.version) for one in served]
    return json_answer({"model_stats": found}, headers={REQUEST_ID: identity})


async def _infer(service: Service, request: Request, identity: str) -> Response:
    body = (await service.body(request)).data
    served = await _model(service, request)
    given = request.headers.get(JSON_SIZE)
    if given is not None and not (given.isascii() and given.isdigit() and int(given[:12]) <= len(body)):
        raise RequestError(400, f"{JSON_SIZE} is {given!r:.40}, wanted at most the {len(body)} bytes of the body")
    wanted = read_v2_request(body, len(body) if given is None else int(given), served.inputs)
    if wanted.seconds:
        give_less_time(request, wanted.seconds)
    answer = await answered(served, wanted.asked)
    assert_finite(answer.predictions)  # no infinity, in binary data neither: the same request gets the same answer
    return _answer(wanted, answer.predictions, served, identity)


def _answer(request: V2Request, predictions: pa.Array, served: ServedModel, identity: str) -> Response:
    name = served.inputs.output
    wanted = request.wanted([tensor["name"] for tensor in output_metadata(predictions.type, name)])
    outputs = encode_outputs(predictions, name, wanted)
    value = {
        "model_name": served.model.name,
        "model_version": served.model.version,
        "id": request.identity or identity,
        "outputs": [tensor for tensor, _ in outputs],
    }
    headers = who(served, identity)
    data = b"".join(data for _, data in outputs)
    if not data:
        return json_answer(value, headers=headers)
    head = orjson.dumps(value)
    return Response(head + data, headers=headers | {JSON_SIZE: str(len(head))}, media_type="application/octet-stream")
