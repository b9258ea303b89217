"""Rows of a feed that nobody landed: a version's input example, or made-up values."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import Column
from schemas.feed import Feed
from schemas.model_inputs import ModelInputs, tensor_names
from schemas.signature import text_columns

if TYPE_CHECKING:
    import pandas as pd

TEXT = "text:"  # a column with the text of a feature exactly as it stands in the file
EXAMPLE_ROWS = 5


def example_rows(example: Any, feed: Feed, inputs: ModelInputs) -> pa.Table:
    """The first rows of an input example as the feed would read them; none if one of its values is none of the feed's.

    Args:
        example: as MLflow loads it: a frame, an array, a list, or a dict of them.
    """
    text, columns = text_columns(feed, inputs), dict[str, pa.Array]()
    try:
        frame = _as_frame(example, inputs).head(EXAMPLE_ROWS)
        for at, (column, one) in enumerate(inputs.paired(feed.features)):
            if column is None:
                continue
            named = one.name if one.name in frame else one.label
            values = pa.array(frame[named] if inputs.is_named else frame.iloc[:, at], from_pandas=True)
            columns[column.table_name] = values.cast(column.arrow_type)
            if column.name in text:
                columns[TEXT + column.name] = values.cast(pa.string())
    except (pa.ArrowException, LookupError, TypeError, ValueError):
        return pa.table({})
    rows = pa.table(columns)
    for column in feed.features:
        if column.table_name in columns and not column.nullable:
            rows = rows.filter(pc.is_valid(rows[column.table_name]))
    return rows


def _as_frame(example: Any, inputs: ModelInputs) -> "pd.DataFrame":
    """An example with a column for each input, as far as it has them."""
    import pandas as pd

    if isinstance(example, Mapping) and inputs.tensors:
        arrays = [(name, np.asarray(values)) for name, values in example.items()]
        named = {
            column: values
            for name, array in arrays
            for column, values in zip(tensor_names(name, array[:1].size), array.reshape(len(array), -1).T, strict=True)
        }
        return pd.DataFrame(named)
    if hasattr(example, "toarray"):  # sparse
        example = example.toarray()
    if isinstance(example, Mapping) and not any(np.ndim(values) for values in example.values()):
        example = [example]
    return pd.DataFrame(example)


def probe(feed: Feed, text: frozenset[str] = frozenset()) -> pa.Table:
    """One made-up row of the feed's features: the middle of each range, the first of the allowed values."""
    columns: dict[str, pa.Array] = {}
    for column in feed.features:
        value = probe_value(column)
        columns[column.table_name] = pa.array([value]).cast(column.arrow_type)
        if column.name in text:
            columns[TEXT + column.name] = pa.array([str(value)])
    return pa.table(columns)


def probe_value(column: Column) -> Any:
    """A made-up value of a column, as JSON has it."""
    if column.allowed:
        return column.allowed[0]
    low = column.min if column.min is not None else 0.0
    high = column.max if column.max is not None else low + 2.0
    middle = (low + high) / 2
    return {
        "string": "1",
        "boolean": True,
        "int": math.floor(middle),
        "long": math.floor(middle),
        "float": middle,
        "double": middle,
        "date": "2000-01-01",
        "timestamp": "2000-01-01T00:00:00Z",
    }[column.type]
