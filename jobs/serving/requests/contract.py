"""What requests to a model must hold: by the feed that the model scores, else by its signature alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.dialect import Dialect
from schemas.errors import ContractError
from schemas.feed import Column, Feed, Series, feed_names, load_feed
from schemas.model_inputs import COLUMN_TYPES, ModelInput
from schemas.model_inputs import inputs_of as model_inputs_of
from schemas.signature import said_of_itself
from streamscore.registry.model_uri import model_name

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSpec


class _SignatureColumn(Column):
    """An input of a signature: nothing but the model reads it, so it may be called as our columns are."""

    @property
    def table_name(self) -> str:
        return f"input:{self.name}"


@dataclass(frozen=True)
class Param:
    """A parameter that the signature has beside the inputs.

    Attributes:
        column: its values; None if they are objects.
        is_list: whether it has a list of them.
    """

    spec: "ParamSpec"
    column: Column | None
    is_list: bool


@dataclass(frozen=True)
class Inputs:
    """What a request gives the model, and how the answer is shaped.

    Attributes:
        feed: the columns and their rules; its features are the model's inputs. Without a name if no feed follows the
            model: then the signature says them.
        names: the inputs by their names in the signature; of a tensor, its columns in their order.
        is_tensor: whether the signature wants one `(-1, k)` array; then rows are lists.
        output: the name of the output, where the signature has a single one; else "predict".
        params: by name.
    """

    feed: Feed
    names: tuple[str, ...]
    is_tensor: bool
    output: str
    params: Mapping[str, Param] = field(default_factory=dict)


def feed_of(model: str) -> Feed | None:
    """The feed whose rows a registered model scores; None if there is none.

    Raises:
        FeedError: a feed's file is wrong.
    """
    feeds = (load_feed(name) for name in feed_names())
    return next((feed for feed in feeds if model_name(feed.model_uri) == model), None)


def inputs_of(signature: "ModelSignature | None", model: str, feed: Feed | None) -> Inputs:
    """What a version's signature asks of a request.

    Raises:
        ContractError: it has none, or one of inputs that no feed could hold.
    """
    wanted = model_inputs_of(signature, model, len(feed.features) if feed else None)
    # the model needs no key, time or target; what is sent of them is held against the feed
    feed = _only_needing(feed, ("feature",)) if feed else _feed([_column(one) for one in wanted.columns])
    names = tuple((column or one).name for column, one in wanted.paired(feed.features))
    is_tensor = len(wanted.tensors) == 1 and not wanted.tensors[0].is_flat
    outputs = signature.outputs.inputs if signature and signature.outputs else []
    single = outputs[0].name if len(outputs) == 1 else None
    output = str(single) if single is not None else "predict"
    params = (signature.params if signature else None) or ()
    return Inputs(feed, names, is_tensor, output, {p.spec.name: p for p in map(_param, params)})


def is_of_series(mlmodel: Mapping[str, Any]) -> bool:
    """Whether a version says in its metadata that it forecasts series."""
    return said_of_itself(mlmodel.get("metadata")).get("kind") == "series"


def series_inputs_of(
    mlmodel: Mapping[str, Any], signature: "ModelSignature | None", model: str, feed: Feed | None
) -> Inputs:
    """What a version that forecasts series asks of the observations in a request.

    Raises:
        ContractError: no feed follows it, and its signature has no time.
    """
    said = said_of_itself(mlmodel.get("metadata"))
    asked = {*(said.get("endogenous") or ()), *(said.get("exogenous") or ())}
    feed = _only_needing(feed or _feed_of_series(said, signature, model), ("feature", "exogenous", "key", "time"))
    unused = {column.name for column in feed.observed if column.name not in asked}
    columns = (c.model_copy(update={"nullable": True}) if c.name in unused else c for c in feed.columns)
    feed = feed.model_copy(update={"columns": tuple(columns)})
    names = (feed.time.name, *(column.name for column in (*feed.keys, *feed.observed)))
    return Inputs(feed, names, is_tensor=False, output="forecast")


def _only_needing(feed: Feed, roles: tuple[str, ...]) -> Feed:
    """The feed with all columns of other roles nullable."""
    columns = (c if c.role in roles else c.model_copy(update={"nullable": True}) for c in feed.columns)
    return feed.model_copy(update={"columns": tuple(columns)})


def _feed_of_series(said: Mapping[str, Any], signature: "ModelSignature | None", model: str) -> Feed:
    """A feed for a version that no feed follows, by what training wrote of it."""
    specs = signature.inputs.inputs if signature and signature.inputs else []
    times = [str(spec.name) for spec in specs if getattr(spec.type, "name", None) == "datetime"]
    if len(times) != 1:
        msg = f"model {model} forecasts series, and no feed has it as its model; write one: schemas/NAME.yaml"
        raise ContractError(msg)
    columns = [_SignatureColumn(name=times[0], type="timestamp", role="time")]
    columns += [_SignatureColumn(name=str(k), type="string", role="key", nullable=True) for k in said.get("key") or {}]
    for entry, role in (("endogenous", "feature"), ("exogenous", "exogenous")):
        columns += [_SignatureColumn(name=str(name), type="double", role=role) for name in said.get(entry) or ()]
    rules = Series(steps=int(said.get("steps") or Series().steps), ahead_seconds=None)
    return Feed.model_construct(name="", kind="series", series=rules, columns=tuple(columns))


def _param(spec: "ParamSpec") -> Param:
    kind = COLUMN_TYPES.get(getattr(spec.dtype, "name", ""))
    return Param(spec, _column(ModelInput(spec.name, None, kind)) if kind else None, spec.shape is not None)


def _column(one: ModelInput) -> _SignatureColumn:
    low, high = one.type.limits or (None, None)
    kind: Any = one.type.takes[0]
    finite = not (one.nullable and kind in ("float", "double"))  # pandas has NaN for a number that is missing
    return _SignatureColumn(name=one.name, type=kind, nullable=one.nullable, finite=finite, min=low, max=high)


def _feed(columns: list[_SignatureColumn]) -> Feed:
    lenient = Dialect(missing_columns="null")  # as in JSON
    return Feed.model_construct(name="", csv=lenient, columns=tuple(columns))  # no table is of it
