"""Which models may be loaded: what MLflow really writes, what a crafted `MLmodel` could hide, and what never runs."""

import copy
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.settings import Models, load_settings
from streamscore.models.row_model import load_model
from streamscore.models.watch import ModelWatcher
from streamscore.registry.allow_list import assert_folder_loadable, assert_loadable, parse_mlmodel
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry, open_registry
from streamscore.storage.folder import LocalFolder
from tests.support.new_database import new_database

INPUTS = pd.DataFrame({"a": np.linspace(0, 1, 40), "b": np.linspace(1, 0, 40)})
TARGET = INPUTS["a"] + 2 * INPUTS["b"]
CODE = """
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"]

mlflow.models.set_model(Model())
"""


class Marker:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "unpickled")


class Named(PythonModel):
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input["a"]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a model as MLflow does; returns the folder."""

    def save(flavor: Any, **how: Any) -> Path:
        path = tmp_path / "saved"
        signature = infer_signature(INPUTS, np.array([1.0]))
        flavor.save_model(path=str(path), signature=signature, pip_requirements=[], **how)
        return path

    return save


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(CODE)
    return str(path)


@pytest.mark.parametrize(
    ("model", "trusted"),
    [
        (ElasticNet(), []),
        (RandomForestRegressor(3), ["sklearn.tree._tree.Tree"]),
        (
            HistGradientBoostingRegressor(max_iter=3),
            ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"],
        ),
        (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), ["numpy.dtype"]),
    ],
    ids=["elastic net", "forest", "boosting", "logistic pipeline"],
)
def test_common_estimators_stored_by_skops_may_be_loaded(
    saved: Callable[..., Path], small_feed: Feed, model: Any, trusted: list[str]
) -> None:
    target = TARGET if not hasattr(model, "steps") else (TARGET > 1.5).astype(float)
    path = saved(mlflow.sklearn, sk_model=model.fit(INPUTS, target), skops_trusted_types=trusted or None)
    assert_folder_loadable(path, "m v1", Models())
    assert load_model(path, small_feed, ModelVersion("m", "1", "")).output == "double"


def test_a_model_from_code_may_be_loaded_and_be_forbidden(saved: Callable[..., Path], code: str) -> None:
    path = saved(
        mlflow.pyfunc, python_model=code, artifacts={"data": code}, model_config={"home": "/somewhere/../else"}
    )
    assert_folder_loadable(path, "m v1", Models())
    with pytest.raises(ContractError, match=r"stored as 'code', the setting models\.formats allows skops; "):
        assert_folder_loadable(path, "m v1", Models(formats=("skops",)))


def test_code_paths_beside_a_skops_model_count_as_code(saved: Callable[..., Path], code: str) -> None:
    path = saved(mlflow.sklearn, sk_model=ElasticNet().fit(INPUTS, TARGET), code_paths=[code])
    with pytest.raises(ContractError, match="stored as 'code'"):
        assert_folder_loadable(path, "m v1", Models(formats=("skops",)))


@pytest.mark.parametrize("how", ["cloudpickle", "pickle"])
def test_pickled_estimators_are_refused(saved: Callable[..., Path], how: str) -> None:
    path = saved(mlflow.sklearn, sk_model=ElasticNet().fit(INPUTS, TARGET), serialization_format=how)
    with pytest.raises(
        ContractError, match=rf"model m v1 is not loaded: it is stored as '{how}'.* skops, code; log it"
    ):
        assert_folder_loadable(path, "m v1", Models())
    assert_folder_loadable(path, "m v1", Models(formats=("cloudpickle", "pickle")))


def test_a_pickled_pyfunc_is_refused(saved: Callable[..., Path]) -> None:
    with pytest.raises(ContractError, match="stored as 'cloudpickle'"):
        assert_folder_loadable(saved(mlflow.pyfunc, python_model=Named()), "m v1", Models())


@pytest.mark.trains
def test_another_flavor_is_refused_and_what_is_unknown_counts_as_a_pickle(saved: Callable[..., Path]) -> None:
    import mlflow.statsmodels
    import statsmodels.api as sm

    path = saved(mlflow.statsmodels, statsmodels_model=sm.OLS(TARGET, INPUTS).fit())
    with pytest.raises(ContractError, match=r"its flavor 'statsmodels', the setting models\.flavors allows") as refused:
        assert_folder_loadable(path, "m v1", Models())
    text = str(refused.value)
    assert "; its loader module 'mlflow.statsmodels', " in text
    assert "; it is stored as 'pickle', " in text
    written = yaml.safe_load(text.partition("write into conf/PROFILE.yaml: ")[2])
    assert_folder_loadable(path, "m v1", Models.model_validate(written["models"]))
    allowed = {"flavors": ("python_function", "statsmodels"), "loader_modules": ("mlflow.statsmodels",)}
    with pytest.raises(ContractError, match="stored as 'pickle'"):
        assert_folder_loadable(path, "m v1", Models(**allowed))
    assert_folder_loadable(path, "m v1", Models(**allowed, formats=("pickle",)))


SKOPS: dict[str, Any] = {
    "flavors": {
        "python_function": {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.sklearn",
            "model_path": "model.skops",
        },
        "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "code": None},
    }
}


@pytest.mark.parametrize(
    ("flavor", "changes", "said"),
    [
        ("python_function", {"loader_module": "os"}, "loader module 'os'"),
        ("python_function", {"loader_module": "mlflow.pyfunc.model"}, "stored as 'cloudpickle'"),
        ("python_function", {"loader_module": "mlflow.pyfunc.loaders.code_model"}, "stored as 'cloudpickle'"),
        ("python_function", {"loader_module": ["mlflow.sklearn"]}, "loader module"),
        ("python_function", {"loader_module": None}, "loader module 'None'"),
        ("python_function", {"python_model": "innocent.bin"}, "stored as 'cloudpickle'"),
        ("python_function", {"data": "sub"}, "stored as 'pickle'"),
        ("python_function", {"code": "code"}, "stored as 'code'"),
        ("python_function", {"model_path": "/etc/model.skops"}, "'/etc/model.skops', which is not in its folder"),
        ("python_function", {"model_path": "../model.skops"}, "not in its folder"),
        ("python_function", {"model_path": "a\\..\\..\\model.skops"}, "not in its folder"),
        ("python_function", {"model_path": "s3://bucket/model.skops"}, "not in its folder"),
        ("python_function", {"model_path": "model.PKL"}, "stored as 'pickle'"),
        ("python_function", {"env": {"conda": "../../conda.yaml"}}, "not in its folder"),
        ("python_function", {"new_key": [{"deep": "/etc/passwd"}]}, "not in its folder"),
        ("python_function", {"artifacts": {"x": {"path": "/etc/passwd", "uri": "x"}}}, "not in its folder"),
        ("python_function", {"artifacts": {"x": {"path": "model.joblib", "uri": "x"}}}, "stored as 'pickle'"),
        ("sklearn", {"serialization_format": "pickle"}, "stored as 'pickle'"),
        ("sklearn", {"serialization_format": None}, "stored as 'None'"),
        ("sklearn", {"pickled_model": "model.pkl"}, "stored as 'pickle'"),
        (
            "sklearn",
            {"skops_trusted_types": ["builtins.eval"]},
            r"trust 'builtins.eval', the setting models\.skops_types",
        ),
        ("sklearn", {"skops_trusted_types": True}, "trust 'True'"),
        ("other", {}, "flavor 'other'"),
    ],
)
def test_a_crafted_mlmodel_is_refused(flavor: str, changes: dict[str, Any], said: str) -> None:
    mlmodel = copy.deepcopy(SKOPS)
    assert_loadable(mlmodel, "m v1", Models(formats=("skops",)))
    mlmodel["flavors"].setdefault(flavor, {}).update(changes)
    with pytest.raises(ContractError, match=said) as refused:
        assert_loadable(mlmodel, "m v1", Models(formats=("skops",)))
    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)


def test_without_the_flavor_that_names_its_format_a_model_counts_as_a_pickle() -> None:
    mlmodel = {"flavors": {"python_function": SKOPS["flavors"]["python_function"]}}
    with pytest.raises(ContractError, match="stored as 'pickle'"):
        assert_loadable(mlmodel, "m v1", Models())


@pytest.mark.parametrize(
    "content", [b"\xff", b"- a list", b"flavors: x", b"flavors: {a: b}", b"a: [", b"!!python/object/apply:os.getcwd []"]
)
def test_what_is_no_mlmodel_file_is_refused(content: bytes) -> None:
    with pytest.raises(ContractError, match="m v1 is not loaded: its MLmodel file"):
        parse_mlmodel(content, "m v1")


def test_a_mlmodel_file_that_refers_to_itself_a_billion_times_is_judged_at_once() -> None:
    lines = ["flavors: {python_function: {loader_module: mlflow.sklearn, x: &a0 [y]}, sklearn: {"]
    lines += [f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]," for n in range(1, 30)]
    mlmodel = parse_mlmodel("\n".join([*lines, "serialization_format: skops}}"]).encode(), "m v1")
    assert_loadable(mlmodel, "m v1", Models())


# --- a pickle that writes a file when it is loaded


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(load_settings(flags={"registry.tracking_uri": new_database(tmp_path)}))


def as_pyfunc(path: Path, marker: Path) -> None:
    (path / "python_model.pkl").write_bytes(pickle.dumps(Marker(marker)))


def as_estimator(path: Path, marker: Path) -> None:
    (path / "model.pkl").write_bytes(pickle.dumps(Marker(marker)))


def behind_a_loader(path: Path, marker: Path) -> None:
    """A skops model by its looks; the module in its folder unpickles when it is imported."""
    (path / "evil").mkdir()
    (path / "evil" / "evil_loader.py").write_text(
        f"import pathlib; pathlib.Path({str(marker)!r}).write_text('imported')"
    )
    _craft(path, {"loader_module": "evil_loader", "code": "evil"})


def behind_a_second_mlmodel(path: Path, marker: Path) -> None:
    """A skops model by its looks; `data` leads MLflow's loader to a folder with another MLmodel."""
    shutil.copytree(path, path / "sub")
    mlmodel = yaml.safe_load((path / "sub" / "MLmodel").read_text())
    mlmodel["flavors"]["sklearn"]["serialization_format"] = "pickle"
    (path / "sub" / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    (path / "sub" / "model.skops").write_bytes(pickle.dumps(Marker(marker)))
    _craft(path, {"data": "sub"})


def behind_a_missing_flavor(path: Path, marker: Path) -> None:
    """Without the flavor that names the format, MLflow unpickles whatever `model_path` names."""
    (path / "model.skops").write_bytes(pickle.dumps(Marker(marker)))
    mlmodel = yaml.safe_load((path / "MLmodel").read_text())
    del mlmodel["flavors"]["sklearn"]
    (path / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def _craft(path: Path, changes: dict[str, Any]) -> None:
    mlmodel = yaml.safe_load((path / "MLmodel").read_text())
    mlmodel["flavors"]["python_function"] |= changes
    (path / "MLmodel").write_text(yaml.safe_dump(mlmodel))


PLANTED = pytest.mark.parametrize(
    ("plant", "how"),
    [
        (as_pyfunc, "pyfunc"),
        (as_estimator, "cloudpickle"),
        (behind_a_loader, "skops"),
        (behind_a_second_mlmodel, "skops"),
        (behind_a_missing_flavor, "skops"),
    ],
)


@pytest.fixture
def planted(
    registry: Registry, tmp_path: Path, small_feed: Feed, saved: Callable[..., Path]
) -> Callable[[Callable[[Path, Path], None], str], Path]:
    """Another tool's version 1 of `small`, in Production, with a pickle in it; returns the marker it would write."""

    def register(plant: Callable[[Path, Path], None], how: str) -> Path:
        if how == "pyfunc":
            path = saved(mlflow.pyfunc, python_model=Named())
        else:
            path = saved(mlflow.sklearn, sk_model=ElasticNet().fit(INPUTS, TARGET), serialization_format=how)
        plant(path, tmp_path / "marker")
        with registry.active() as active, active.start_run(experiment_id=registry.experiment("other")) as run:
            active.log_artifacts(str(path), "model")
            client = active.MlflowClient()
            client.create_registered_model("small")
            client.create_model_version("small", f"{run.info.artifact_uri}/model", run.info.run_id)
            client.set_registered_model_alias("small", "production", "1")
        return tmp_path / "marker"

    return register


@pytest.mark.trains
@PLANTED
def test_mlflow_itself_would_write_the_marker(
    registry: Registry, planted: Callable[..., Path], plant: Callable[..., None], how: str
) -> None:
    marker = planted(plant, how)
    with registry.active() as active, pytest.raises(Exception, match=r".*"):
        active.pyfunc.load_model("models:/small/1").predict(INPUTS)
    assert marker.exists()


@pytest.mark.trains
@PLANTED
def test_a_stream_never_loads_a_planted_pickle(
    registry: Registry,
    planted: Callable[..., Path],
    plant: Callable[..., None],
    how: str,
    small_feed: Feed,
    tmp_path: Path,
) -> None:
    marker = planted(plant, how)
    with pytest.raises(ContractError, match="model small v1 is not loaded"):
        registry.download(registry.resolve("models:/small@production"), tmp_path / "models")
    follower = ModelWatcher(
        "models:/small@production", small_feed, registry, LocalFolder(tmp_path), tmp_path, lambda *_: None
    )
    with pytest.raises(ContractError, match="model small v1 is not loaded"):
        follower.start(None, -1, 1.0)
    assert list((tmp_path / "models").iterdir()) == []
    assert not marker.exists()


@pytest.mark.trains
@PLANTED
def test_promoting_never_loads_a_planted_pickle_and_refuses_it(
    registry: Registry, planted: Callable[..., Path], plant: Callable[..., None], how: str, small_feed: Feed
) -> None:
    marker = planted(plant, how)
    with pytest.raises(ContractError, match="model small v1 is not loaded") as refused:
        registry.promote("small", "1", small_feed)
    assert refused.value.exit_code == 3
    (version,) = registry.versions("small")
    assert (version.stage, version.tags) == ("None", {})
    assert not marker.exists()
