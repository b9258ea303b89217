"""What stands for missing text in the rows that a model was trained on: NaN, as pandas reads a CSV file, or None.

For scikit-learn these are two different values: an imputer fills in the one, and an encoder has a category for the one,
that it was fitted with.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.signature import said_of_itself

if TYPE_CHECKING:
    import pandas as pd

NAN, NONE = "nan", "none"
MISSING = {NAN: float("nan"), NONE: None}
KEY = "missing_text"  # in the model's metadata, below `streamscore`
OBJECTS = 10_000  # that are looked through; a pipeline has hundreds, and a forest has trees, which say nothing


def missing_text_of(model: Any, metadata: Mapping[str, Any] | None) -> str:
    """A key of `MISSING`: the metadata's word, else None if an encoder or imputer in the model knows only that.

    Args:
        model: a pipeline, or any object that has one somewhere among its attributes.
        metadata: of the logged model.
    """
    said = said_of_itself(metadata)
    if said.get(KEY) in MISSING:
        return str(said[KEY])
    known = {missing for part in _parts(model) for missing in _known_to(part)}
    return NONE if known == {NONE} else NAN


def mark_missing(frame: "pd.DataFrame", names: Iterable[str], missing: str) -> None:
    """Give missing text in these columns of a frame the value that a model knows.

    Args:
        missing: a key of `MISSING`.
    """
    for name in names:
        if name in frame and (is_missing := frame[name].isna().to_numpy()).any():
            values = frame[name].to_numpy(object, copy=True)
            values[is_missing] = MISSING[missing]
            frame[name] = values


def _known_to(part: Any) -> Iterator[str]:
    """What one encoder or imputer takes for missing text."""
    for categories in vars(part).get("categories_") or ():
        if getattr(categories, "dtype", np.dtype(float)).kind == "O":
            yield from (NONE if one is None else NAN for one in categories if one is None or one != one)
    if vars(part).get("missing_values", np.nan) is None:
        yield NONE


def _parts(root: Any) -> Iterator[Any]:
    """All objects with attributes in what an object holds, each once."""
    waiting, seen = [root], set[int]()
    while waiting and len(seen) < OBJECTS:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | np.ndarray | str | bytes):
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif hasattr(one, "__dict__"):
            yield one
            waiting.extend(vars(one).values())
