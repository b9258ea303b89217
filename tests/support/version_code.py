"""Versions with code of their own: modules of the same names, and of our own names, with a factor for each version."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from schemas.feed import Feed

FEED = Feed.model_validate(
    {"name": "scaled", "columns": [{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]}
)

# All that a version may import late: in a function, by name, from a thread, for a pickle. Our own names are among it.
CODE = """
import pickle, threading, mlflow, pandas as pd
from feats.scale import scale

class Factor(float):
    pass

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import importlib, os, schemas.feed as feed
        from jobs.cli import factor as of_jobs
        a = model_input["a"].to_numpy()
        if (a == 13).any():
            raise feed.OwnError("thirteen")
        if (a == 666).any():
            os.kill(os.getpid(), 9)
        if (a == 15).any():
            return Factor(1.0)
        found = [scale(1), feed.factor, of_jobs]
        found.append(importlib.import_module("streamscore.late").factor)
        found.append(pickle.loads(b"ctraining.state\\nState\\n.").factor)
        thread = threading.Thread(target=lambda: found.append(__import__("feats.late").late.factor))
        thread.start(), thread.join()
        print("what a model prints")
        assert len(set(found)) == 1, found
        return pd.Series(a * found[0], index=model_input.index)

mlflow.models.set_model(Model())
"""
MODULES = {
    "feats/__init__.py": "",
    "feats/scale.py": "def scale(x):\n    return x * {factor}\n",
    "feats/late.py": "factor = {factor}\n",
    "schemas/__init__.py": "",
    "schemas/feed.py": "factor = {factor}\nclass OwnError(Exception):\n    pass\n",
    "jobs/__init__.py": "",
    "jobs/cli.py": "factor = {factor}\n",
    "streamscore/__init__.py": "",
    "streamscore/late.py": "factor = {factor}\n",
    "training/__init__.py": "",
    "training/state.py": "class State:\n    factor = {factor}\n",
}


def save_version(folder: Path, factor: int, code: str = CODE) -> Path:
    """As `code_paths` saves it; saving it that way would import the modules here."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    model, path = folder / f"model_{factor}.py", folder / f"model-{factor}"
    model.write_text("import mlflow\nmlflow.models.set_model(mlflow.pyfunc.PythonModel())\n")
    inputs = pd.DataFrame({"a": [1.0], "b": [1.0]})
    signature = infer_signature(inputs, np.array([1.0]))
    mlflow.pyfunc.save_model(str(path), python_model=str(model), signature=signature, pip_requirements=[])
    mlmodel = yaml.safe_load((path / "MLmodel").read_text())
    mlmodel["flavors"]["python_function"]["code"] = "code"
    (path / model.name).write_text(code)
    (path / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    for name, text in MODULES.items():
        module = path / "code" / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text.format(factor=factor))
    return path
