"""What runs in the process of a version that brings code of its own: load it, then answer until nobody asks.

Our own modules leave the table of imported ones before the version loads, so that it may have modules of their names.
"""

import pickle
import signal
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from streamscore.registry.pyfunc import Pyfunc, load_here


def main(socket: int, path: str) -> None:
    """Load the model in a folder; whoever started this process speaks through the socket, and ends it by closing that.

    Messages are pickled: `(method, arguments, named arguments)` in, `("answered", answer)` or `("raised", type, text)`
    out. The first one out says what was loaded.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # of a whole group: a stream that stops has rows to be predicted
        signal.signal(number, signal.SIG_IGN)
    import mlflow.pyfunc  # noqa: F401  before the names are free

    for name in [name for name in sys.modules if name.partition(".")[0] in ("schemas", "streamscore")]:
        del sys.modules[name]
    sys.meta_path.insert(0, OwnPackages(Path(path)))
    connection = Connection(socket)
    try:
        loaded = load_here(Path(path))
    except BaseException as error:
        connection.send_bytes(_raised(error))
        return
    connection.send_bytes(pickle.dumps(("answered", (bool(loaded.forecast_windows), loaded.missing_text)), 5))
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(loaded, request))


class OwnPackages(MetaPathFinder):
    """Finds packages without `__init__.py` in a version's code, which a package of that name elsewhere would hide."""

    def __init__(self, path: Path) -> None:
        """Look in the folders that the flavors of the model in a folder name."""
        flavors = yaml.safe_load((path / "MLmodel").read_text("utf-8"))["flavors"]
        self._code = [path / flavor["code"] for flavor in flavors.values() if flavor.get("code")]

    def find_spec(self, fullname: str, path: Any, *_: Any) -> ModuleSpec | None:
        if path is not None or not any((code / fullname).is_dir() for code in self._code):
            return None
        found = PathFinder.find_spec(fullname)
        is_hidden = found is not None and found.origin is not None and not self._holds(found.origin)
        return PathFinder.find_spec(fullname, [str(code) for code in self._code]) if is_hidden else None

    def _holds(self, origin: str) -> bool:
        return any(Path(origin).is_relative_to(code) for code in self._code)


def _answer(loaded: Pyfunc, request: bytes) -> bytes:
    try:
        method, arguments, named = pickle.loads(request)
        return pickle.dumps(("answered", _plain(getattr(loaded, method)(*arguments, **named))), 5)
    except BaseException as error:  # a model may even leave with sys.exit
        return _raised(error)


def _raised(error: BaseException) -> bytes:
    return pickle.dumps(("raised", type(error).__name__, str(error)), 5)


def _plain(answer: Any) -> Any:
    """An answer without types of the version's own, which nobody else knows."""
    import numpy as np
    import pandas as pd

    if isinstance(answer, np.ma.MaskedArray):
        return np.ma.MaskedArray(answer)
    if isinstance(answer, np.ndarray):
        return np.asarray(answer)
    for plain in (pd.DataFrame, pd.Series):
        if isinstance(answer, plain):
            return plain(answer)
    if isinstance(answer, list):
        return [one.model_dump() if hasattr(one, "model_dump") else one for one in answer]
    return {name: _plain(one) for name, one in answer.items()} if isinstance(answer, Mapping) else answer
