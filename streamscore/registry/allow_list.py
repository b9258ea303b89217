"""Which models may be loaded: judged by their `MLmodel` file against the settings, importing nothing of theirs."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ContractError
from schemas.settings import Models

PYFUNC = "python_function"
SKLEARN_LOADER = "mlflow.sklearn"
CODE_LOADERS = ("mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model")  # what is compared with them may be a list
PICKLES = (".pkl", ".pickle", ".pck", ".joblib", ".cloudpickle")


def assert_folder_loadable(folder: Path, model: str, allowed: Models) -> None:
    """`assert_loadable` for a folder of files.

    Raises:
        ContractError: as `assert_loadable`.
    """
    assert_loadable(parse_mlmodel((folder / "MLmodel").read_bytes(), model), model, allowed)


def parse_mlmodel(content: bytes, model: str) -> dict[str, Any]:
    """A `MLmodel` file.

    Raises:
        ContractError: it is no YAML, or no mapping with flavors.
    """
    try:
        parsed = yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refusal(model, f"its MLmodel file is not YAML ({' '.join(str(error).split())[:100]})", "") from error
    flavors = parsed.get("flavors") if isinstance(parsed, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(flavor, dict) for flavor in flavors.values()):
        raise _refusal(model, "its MLmodel file names no flavors", "")
    return dict(parsed)


def assert_loadable(mlmodel: Mapping[str, Any], model: str, allowed: Models) -> None:
    """Refuse a model by which more could run than the settings allow.

    1. All its flavors, and the module that loads it.  2. The formats in which it is stored.
    3. The types that it wants skops to trust.  4. The paths that it names lie in its folder.
    What MLflow writes is listed, and how its loaders read it; whatever is not known counts as a pickle.

    Raises:
        ContractError: names all that was found, what is allowed, and the settings that would allow it.
    """
    flavors = mlmodel["flavors"]
    pyfunc, sklearn = flavors.get(PYFUNC), flavors.get("sklearn", {})
    if pyfunc is None:
        raise _refusal(model, f"it has no flavor {PYFUNC}", "log it with MLflow's own log_model")
    trusted = sklearn.get("skops_trusted_types") or []
    barred = [
        # 1
        *_not_in(allowed, "flavors", "its flavor", flavors),
        *_not_in(allowed, "loader_modules", "its loader module", [pyfunc.get("loader_module")]),
        # 2
        *_not_in(allowed, "formats", "it is stored as", sorted(set(_formats(pyfunc, sklearn, flavors)))),
        # 3
        *_not_in(
            allowed, "skops_types", "it wants skops to trust", trusted if isinstance(trusted, list) else [trusted]
        ),
    ]
    if barred:
        raise _refusal(model, "; ".join(one.told for one in barred), _what_allows(barred, allowed))
    # 4
    for path in _texts(_loaded_paths(flavors)):
        if path.startswith(("/", "~", "\\")) or ".." in path.replace("\\", "/").split("/") or ":/" in path:
            raise _refusal(model, f"its MLmodel file names '{path}', which is not in its folder", "")


def _formats(pyfunc: Mapping[str, Any], sklearn: Mapping[str, Any], flavors: Mapping[str, Any]) -> Iterator[str]:
    loader = pyfunc.get("loader_module")
    if loader == SKLEARN_LOADER:
        yield str(sklearn.get("serialization_format", "pickle"))  # MLflow's own default
    elif loader in CODE_LOADERS:
        yield "code" if pyfunc.get("model_code_path") else "cloudpickle"
    else:
        yield "pickle"
    if pyfunc.get("python_model"):
        yield "cloudpickle"
    if any(flavor.get("code") for flavor in flavors.values()):
        yield "code"
    # with `data`, mlflow.sklearn reads another MLmodel file than this one
    if pyfunc.get("data") or any(text.lower().endswith(PICKLES) for text in _texts(_loaded_paths(flavors))):
        yield "pickle"


def _loaded_paths(flavors: Mapping[str, Any]) -> list[Any]:
    """The flavors without what only tells where a file once was, or is the model's own matter."""
    without = []
    for flavor in flavors.values():
        artifacts = flavor.get("artifacts")
        kept = {key: value for key, value in flavor.items() if key not in ("config", "artifacts", "model_code_path")}
        if isinstance(artifacts, dict):  # name → path in the folder, and the URI it was taken from
            kept["artifacts"] = [a.get("path") if isinstance(a, dict) else a for a in artifacts.values()]
        # of the path where the code once was, MLflow takes the last part
        without.append(kept | {"model_code": str(flavor.get("model_code_path") or "").rpartition("/")[2]})
    return without


def _texts(root: Any) -> Iterator[str]:
    """All texts in a YAML document; each node once, however often it is referred to."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, Mapping | list | tuple) and id(node) not in seen:
            seen.add(id(node))
            waiting.extend(node.values() if isinstance(node, Mapping) else node)


@dataclass(frozen=True, slots=True)
class _Barred:
    setting: str
    value: str
    told: str


def _not_in(allowed: Models, setting: str, what: str, found: Collection[Any]) -> Iterator[_Barred]:
    """What a setting does not allow."""
    listed = getattr(allowed, setting)
    for one in found:
        if one not in listed:
            allows = f"the setting models.{setting} allows {', '.join(listed) or 'none'}"
            yield _Barred(setting, str(one), f"{what} '{one}', {allows}")


def _what_allows(barred: Collection[_Barred], allowed: Models) -> str:
    """What to do, with the settings as they would be."""
    settings = {one.setting: [*getattr(allowed, one.setting)] for one in barred}
    for one in barred:
        settings[one.setting].append(one.value)
    text = yaml.safe_dump(settings, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()
    return f"log it as one that these allow, or, if you trust it, write into conf/PROFILE.yaml: models: {text}"


def _refusal(model: str, why: str, act: str) -> ContractError:
    return ContractError(f"model {model} is not loaded: {why}; {act or 'promote another version'}")
