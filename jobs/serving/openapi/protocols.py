"""The operations of MLflow's and of V2's protocol in the OpenAPI document."""

from typing import Any

from jobs.serving.models.served_model import ServedModel
from jobs.serving.openapi.parts import operation, params_of, refusal, row_of
from jobs.serving.requests.v2_tensors import input_metadata
from streamscore.models.example import probe_value

_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_MLFLOW_ERROR = {
    "type": "object",
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["error_code", "message"],
}
_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}
_STATE = {"type": "object", "properties": {"name": {"type": "string"}, "state": {"type": "string"}}}


def common_paths() -> dict[str, Any]:
    """What is the same whatever is loaded."""
    ready = operation("v2_ready", "Whether the first models are loaded", {"type": "object"})
    ready["responses"]["503"] = ready["responses"]["200"]
    stats = {"type": "object", "properties": {"model_stats": {"type": "array"}}, "required": ["model_stats"]}
    found = {
        "/v2": operation("v2_server", "The server and its extensions of V2", {"type": "object"}),
        "/v2/health/live": operation("v2_live", "Whether it runs", {"type": "object"}),
        "/v2/health/ready": ready,
        "/v2/models/stats": operation("v2_statistics", "What the loaded models have answered so far", stats),
        "/v2/repository/index": operation(
            "v2_index", "The models and their states", {"type": "array", "items": _STATE}
        ),
    }
    for of in found.values():
        of["responses"]["default"] = refusal(_ERROR)
    return {path: {"get": of} for path, of in found.items()}


def invocations_path(served: ServedModel) -> dict[str, Any]:
    """MLflow's route, for the model that answers it."""
    row, params = row_of(served.inputs, served.inputs.feed.features), params_of(served.inputs)
    example = [probe_value(c) for c in served.inputs.feed.features if c.name in served.inputs.names]
    body: dict[str, Any] = {
        "type": "object",
        "properties": {
            "dataframe_split": {
                "type": "object",
                "properties": {
                    "columns": {"type": "array", "items": {"enum": list(row["properties"])}},
                    "data": {"type": "array", "items": {"type": "array"}},
                },
                "required": ["columns", "data"],
            }
        }
        | params,
        "required": ["dataframe_split"],
    }
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}}, "required": ["predictions"]}
    described = operation("invocations", f"MLflow's protocol: predictions of {served.model.identity.title}", answer)
    sent = {"dataframe_split": {"columns": list(row["properties"]), "data": [example]}}
    described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body, "example": sent}}}
    described["responses"]["default"] = refusal(_MLFLOW_ERROR)
    return {"/invocations": {"post": described}}


def infer_path(served: ServedModel) -> dict[str, Any]:
    """V2's route of one model."""
    tensors = []
    features = {c.name: c for c in served.inputs.feed.features}
    for metadata in input_metadata(served.inputs):
        if served.inputs.is_tensor:
            data: list[Any] = [probe_value(c) for c in served.inputs.feed.features]
            shape = [1, len(data)]
        else:
            data, shape = [probe_value(features[metadata["name"]])], [1]
        tensors.append({"name": metadata["name"], "shape": shape, "datatype": metadata["datatype"], "data": data})
    body = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": _TENSOR},
            "outputs": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        },
        "required": ["inputs"],
    }
    answer = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "outputs": {"type": "array", "items": _TENSOR}},
        "required": ["model_name", "outputs"],
    }
    name = served.model.name
    described = operation(f"v2_infer_{name}", f"V2: predictions of {served.model.identity.title}", answer)
    content = {"application/json": {"schema": body, "example": {"inputs": tensors}}}
    described["requestBody"] = {"required": True, "content": content}
    described["responses"]["default"] = refusal(_ERROR)
    return {f"/v2/models/{name}/infer": {"post": described}}
