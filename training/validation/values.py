"""A feed's rules for single values as a pandera schema: type, null, range, allowed, finite."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from schemas.feed import Column, Feed
from schemas.reasons import Reason
from training.data.training_data import NUMBERS, Data
from training.validation.findings import Finding

if TYPE_CHECKING:  # it takes seconds to import
    from pandera.pandas import Check, DataFrameSchema

Rule = Callable[[pd.Series], Any]  # which of the values are right; or whether all are

# what pandas may call the values of a column of each type; `empty`: nulls only
TIMES = ("date", "datetime64", "datetime", "empty")
PANDAS_TYPES = {
    "string": ("string", "empty"),
    "boolean": ("boolean", "empty"),
    "date": TIMES,
    "timestamp": TIMES,
} | dict.fromkeys(NUMBERS, ("integer", "integer-na", "floating", "empty"))


def value_schema(feed: Feed) -> "DataFrameSchema":
    """The feed's columns, each with a check for every rule that it has; the name of a check is its reason code.

    The target may never be null. NaN is null, as pandas has it; infinite is refused whatever the feed says of it,
    because no estimator takes it. A column of key, time or carry may be absent.
    """
    import pandera.pandas as pandera

    def column(of: Column) -> Any:
        return pandera.Column(
            checks=list(_checks(of)),
            nullable=True,  # a check of ours says which row is the first
            required=of.role in ("feature", "target"),
            name=of.name,
        )

    return pandera.DataFrameSchema({c.name: column(c) for c in feed.columns}, name=feed.name)


def value_findings(feed: Feed, data: Data, split: str) -> list[Finding]:
    """Every rule of the feed that some value breaks, with the number of rows and the first of them; all are errors.

    Rows are counted as in the source: 1 is its first data row.
    """
    from pandera.errors import SchemaErrors

    frame = pd.concat([data.features, data.others, data.target], axis=1, copy=False)
    try:
        value_schema(feed).validate(frame, lazy=True, inplace=True)  # nothing is coerced, so nothing is changed
    except SchemaErrors as found:
        order = {column.name: number for number, column in enumerate(feed.columns)}
        broken = sorted(found.schema_errors, key=lambda error: order.get(error.schema.name, -1))
        mistyped = {error.schema.name for error in broken if _reason(error) == Reason.BAD_TYPE}
        kept = [e for e in broken if e.schema.name not in mistyped or _reason(e) == Reason.BAD_TYPE]
        return [_finding(error, data, frame, split) for error in kept]
    return []


def _checks(column: Column) -> "Iterator[Check]":
    import pandera.pandas as pandera

    def check(of: Rule, reason: Reason, found: str, wanted: str, on_nulls: bool = False) -> "Check":
        return pandera.Check(
            of,
            name=reason.value,
            title=found,
            description=wanted,
            ignore_na=not on_nulls,
            n_failure_cases=1,  # a check keeps the rows that fail, and that may be a million
        )

    kinds = PANDAS_TYPES[column.type]
    is_number = column.type in NUMBERS
    yield check(lambda values: _kind(values) in kinds, Reason.BAD_TYPE, "of another type", column.type, on_nulls=True)
    if not column.nullable or column.role == "target":
        found = "null or NaN" if column.type in ("float", "double") else "null"
        yield check(lambda values: values.notna(), Reason.NULL_NOT_ALLOWED, found, "a value", on_nulls=True)
    if is_number:
        yield check(
            lambda values: ~np.isinf(values.astype("float64")), Reason.NOT_FINITE, "infinite", "a finite number"
        )
    if column.min is not None:
        low = column.min
        yield check(lambda values: values >= low, Reason.OUT_OF_RANGE, f"below {low:g}", f"at least {low:g}")
    if column.max is not None:
        high = column.max
        yield check(lambda values: values <= high, Reason.OUT_OF_RANGE, f"above {high:g}", f"at most {high:g}")
    if column.allowed is not None:
        allowed = list(column.allowed)
        wanted = f"one of {', '.join(map(str, allowed))}"[:200]
        yield check(lambda values: values.isin(allowed), Reason.NOT_ALLOWED, "not an allowed value", wanted)


def _kind(values: pd.Series) -> str:
    return str(pd.api.types.infer_dtype(values, skipna=True))


def _finding(error: Any, data: Data, frame: pd.DataFrame, split: str) -> Finding:
    """pandera's error as ours."""
    check, reason = error.check, _reason(error)
    if reason == Reason.MISSING_COLUMN:
        return Finding("error", reason, str(error.failure_cases), split, "missing", "a column of that name")
    values = frame[error.schema.name]
    if reason == Reason.BAD_TYPE:
        found = f"{_kind(values)} in pandas"
        return Finding("error", reason, values.name, split, found, check.description)
    passed = error.check_output
    wrong = passed.index[~passed.to_numpy(bool)]
    first = int(wrong[0])
    row = first if data.positions is None else int(data.positions[first])
    found = f"{check.title} in {len(wrong)} of {len(values)} rows, first in data row {row + 1} ({values[first]})"
    return Finding("error", reason, values.name, split, found, check.description)


def _reason(error: Any) -> str:
    """Of an error of pandera: the name of our check; its own, a text, are of columns that are not there."""
    return Reason.MISSING_COLUMN.value if isinstance(error.check, str) else str(error.check.name)
