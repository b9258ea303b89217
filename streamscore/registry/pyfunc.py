"""A version's model, loaded: in this process, or in one of its own if it brings code of its own.

A Python process has one table of imported modules. The code of two versions mostly has the same names, and may have
those of our packages; what a version imports while it predicts, and what a pickle names, is looked up there, too.
"""

import copy
import functools
import inspect
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import yaml

from streamscore.registry.memory import bytes_of, bytes_of_files
from streamscore.registry.missing_text import missing_text_of
from streamscore.registry.mlflow_module import import_mlflow

CODE_MODULE = "code_model_"  # how MLflow names the modules of models from code

_loading = threading.RLock()  # of two models from code that load at once, MLflow may give one for the other


@dataclass(frozen=True, eq=False)
class Pyfunc:
    """A loaded model.

    Attributes:
        metadata: MLflow's `Model`: signature, input example and the like.
        predict: of MLflow's pyfunc.
        predict_promised: the same without MLflow's check of the rows, which takes as long as a small model: for a frame
            that has the columns of the signature in their order and types.
        predict_unchecked: the same without MLflow's check of the inputs: it takes no whole numbers that lack some, even
            where the signature says that they may.
        forecast_windows: of a model of series; None if the model has no such method.
        missing_text: `nan` or `none`: what stands for missing text in what it was trained on.
        python_model: the object itself; None in a process of its own, or if there is no Python object.
        memory: measures the bytes that it takes.
    """

    metadata: Any
    predict: Callable[..., Any]
    predict_promised: Callable[[Any], Any]
    predict_unchecked: Callable[..., Any]
    forecast_windows: Callable[..., Any] | None
    missing_text: str
    python_model: Any = None
    memory: Callable[[], int] = lambda: 0


def load_pyfunc(path: Path) -> Pyfunc:
    """Load the model in a folder; the settings must have allowed it.

    Raises:
        ModelProcessError: the process of its own ended while it loaded.
        Exception: whatever loading raises.
    """
    import_mlflow()
    if not brings_code(path):
        return load_here(path)
    from mlflow.models import Model

    from streamscore.registry.version_process import VersionProcess

    links = _Links()
    linked = links.to(path)
    process = VersionProcess(linked)
    forecast = process.method("forecast_windows") if process.forecasts else None
    predict, unchecked = process.method("predict"), process.method("predict_unchecked")
    metadata = Model.load(str(linked))
    loaded = Pyfunc(metadata, predict, predict, unchecked, forecast, process.missing_text, memory=process.memory)
    weakref.finalize(loaded, links.remove)  # the process may be started again
    return loaded


def brings_code(path: Path) -> bool:
    """Whether a flavor of the model names a folder of modules, as `code_paths` makes one."""
    flavors = yaml.safe_load((path / "MLmodel").read_text("utf-8"))["flavors"]
    return any(flavor.get("code") for flavor in flavors.values())


def load_here(path: Path) -> Pyfunc:
    """Load a model into this process. What MLflow keeps of it goes when the `Pyfunc` goes.

    Raises:
        Exception: whatever loading raises.
    """
    import mlflow.models.model
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    links = _Links()
    with _loading:
        before = set(sys.modules)
        pyfunc = mlflow.pyfunc.load_model(str(links.to(path)))
        made = [name for name in set(sys.modules) - before if name.startswith(CODE_MODULE)]
        mlflow.models.model.__mlflow_model__ = None
    try:
        inner = pyfunc.unwrap_python_model()
    except MlflowException:  # of a flavor
        inner = getattr(pyfunc._model_impl, "sklearn_model", None)
    missing = missing_text_of(inner, pyfunc.metadata.metadata)
    held = inner if inner is not None else pyfunc._model_impl
    loaded = Pyfunc(
        pyfunc.metadata,
        pyfunc.predict,
        _without_check(pyfunc),
        lambda *arguments, **named: _unchecked(pyfunc).predict(*arguments, **named),
        getattr(inner, "forecast_windows", None),
        missing,
        inner,
        lambda: _measured(held, path),
    )
    for name in made:
        weakref.finalize(loaded, sys.modules.pop, name, None)
    weakref.finalize(loaded, links.remove)  # a model may open its files later
    return loaded


def _without_check(pyfunc: Any) -> Callable[[Any], Any]:
    """What MLflow calls with rows that it has checked; MLflow's own `predict` where it does more than check them."""
    metadata, schema = pyfunc.metadata, pyfunc.metadata.get_input_schema()
    if (
        schema is None
        or schema.is_tensor_spec()
        or not schema.has_input_names()
        or any(type(spec.type).__name__ != "DataType" for spec in schema.inputs)
        or metadata.get_params_schema() is not None
        or metadata._is_signature_from_type_hint()
        or metadata._is_type_hint_from_example()
    ):
        return pyfunc.predict
    predict = pyfunc._predict_fn
    params = inspect.signature(predict).parameters.get("params")
    if params and params.kind != inspect.Parameter.VAR_KEYWORD:
        return functools.partial(predict, params=None)
    return predict


def _unchecked(pyfunc: Any) -> Any:
    """The same model, as if its signature said nothing of the inputs."""
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import PyFuncModel

    metadata, signature = copy.copy(pyfunc.metadata), pyfunc.metadata.signature
    metadata.signature = ModelSignature(None, signature.outputs, signature.params)
    return PyFuncModel(metadata, pyfunc._model_impl, pyfunc._predict_fn.__name__)


def _measured(held: Any, path: Path) -> int:
    try:
        return bytes_of(held)
    except Exception:  # it may hold a lock, or an open file
        return bytes_of_files(path.rglob("*"))


class _Links:
    """Links to paths that MLflow would decode: it takes a percent sign in a path for an escape, wherever it loads.

    They go when this goes, or with `remove`.
    """

    def __init__(self) -> None:
        self._remove: Callable[[], object] = lambda: None

    def to(self, path: Path) -> Path:
        """The path, or one by a link to the folder above it, which MLflow takes for the one that holds it."""
        if url2pathname(str(path)) == str(path):
            return path
        folder = tempfile.mkdtemp(prefix="streamscore-model-")
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        above = Path(folder, "above")
        above.symlink_to(path.absolute().parent)
        return above / path.name

    def remove(self) -> None:
        self._remove()
