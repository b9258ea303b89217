"""Statistics small enough to travel with a model and to be kept of each window: 200 quantiles, or the counts of values.

Two sketches are all that a test of drift needs, and sketches of many windows can be made one. A sketch of numbers knows
the share of rows at or below any value to within 0.25 %, also where many rows have the same value.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ContractError

STATISTICS_FILE = "statistics.json"  # an artifact of a model version's run
FORMAT = 1
QUANTILES = 200
VALUES = 100  # a value beyond the most frequent ones is one of the others
VALUE_LENGTH = 200  # characters of a value that are kept

Kind = Literal["number", "text", "boolean", "time"]


@dataclass(frozen=True, slots=True)
class ColumnSketch:
    """One column's values in some rows.

    Attributes:
        kind: numbers and times (seconds since 1970) have `quantiles`; text and booleans have `values`; of a column that
            has nulls only, it is what its type says.
        missing: rows that are null, NaN or infinite; all else is of the other rows.
        quantiles: at the shares 0.5/200, 1.5/200, … 199.5/200, each a value of the column; the smallest that this share
            of the rows does not exceed.
        mean, std: std is of the sample (n - 1), 0 of one row; null without rows, and where a double cannot hold it.
        values: the 100 most frequent ones, cut to 200 characters, and their rows; ties in the order of the text.
        other: rows with any other value.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    other: int = 0

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @classmethod
    def from_dict(cls, read: dict[str, Any]) -> Self:
        """What `asdict` made, as JSON gives it back."""
        values = tuple((str(value), int(count)) for value, count in read["values"])
        return cls(**read | {"quantiles": tuple(read["quantiles"]), "values": values})


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """What a version learned from, and what it answers: the baseline of its drift.

    Attributes:
        features: of the rows that it was fitted on, under the names that the columns have in the tables.
        predictions: of its answers to the held-out rows: `prediction`, or `prediction.FIELD` for each field.
    """

    features: tuple[ColumnSketch, ...]
    predictions: tuple[ColumnSketch, ...]

    def to_json(self) -> str:
        """As text, for the run's artifact `statistics.json`: docs/drift.md says what is in it."""
        body = {"format": FORMAT, "quantiles": QUANTILES} | asdict(self)
        return json.dumps(body, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, title: str) -> Self:
        """What `to_json` made, also by a later version that says more.

        Args:
            title: of the model version, for the message.

        Raises:
            ContractError: it is damaged, or of another format.
        """
        try:
            read = json.loads(text)
            if read["format"] != FORMAT:
                found = f"format {read['format']}, wanted {FORMAT}"
                raise ValueError(found)
            names = ColumnSketch.__dataclass_fields__
            features, predictions = (
                tuple(ColumnSketch.from_dict({k: v for k, v in one.items() if k in names}) for one in read[part])
                for part in ("features", "predictions")
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found = " ".join(str(error).split())[:200]
            msg = (
                f"{STATISTICS_FILE} of {title} cannot be read: {type(error).__name__} {found}; train the version anew, "
                f"or compare with the rows before: --baseline week"
            )
            raise ContractError(msg) from error
        return cls(features, predictions)


def sketch(name: str, values: pa.Array | pa.ChunkedArray) -> ColumnSketch | None:
    """The sketch of one column; None of lists, structs and whatever else is neither number, text, boolean nor time."""
    of, has = values.type, pa.types
    if has.is_dictionary(of):
        return sketch(name, values.cast(of.value_type))
    if has.is_boolean(of) or has.is_string(of) or has.is_large_string(of) or has.is_null(of):
        return _of_texts(name, "boolean" if has.is_boolean(of) else "text", values)
    if has.is_date(of) or has.is_timestamp(of):
        seconds = values.cast(pa.timestamp("us", tz=getattr(of, "tz", None))).cast(pa.int64())
        return _of_numbers(name, "time", pc.divide(pc.cast(seconds, pa.float64()), 1e6))
    if has.is_integer(of) or has.is_floating(of) or has.is_decimal(of):
        return _of_numbers(name, "number", values.cast(pa.float64(), safe=False))
    return None


def sketches(name: str, values: pa.Array | pa.ChunkedArray) -> list[ColumnSketch]:
    """The sketch of a column; of structs those of their fields, as `NAME.FIELD`; none of what has no sketch."""
    if pa.types.is_struct(values.type):
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        fields = zip(values.type, whole.flatten(), strict=True)
        return [made for field, inside in fields for made in sketches(f"{name}.{field.name}", inside)]
    made = sketch(name, values)
    return [made] if made else []


def merge(parts: Sequence[ColumnSketch]) -> ColumnSketch:
    """The sketch of all their rows together; of numbers to within 0.25 % more than the parts have.

    Args:
        parts: of the same column; at least one.
    """
    first, known = parts[0], sum(part.known for part in parts)
    rows, missing = sum(part.rows for part in parts), sum(part.missing for part in parts)
    made = replace(first, rows=rows, missing=missing)
    if len(parts) == 1 or first.kind in ("text", "boolean"):
        return made if len(parts) == 1 else _merged_texts(made, parts)
    there = [part for part in parts if part.known]
    if not there:
        return made
    values = np.concatenate([part.quantiles for part in there])
    weights = np.repeat([part.known / QUANTILES for part in there], QUANTILES)
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[order])
    at = np.searchsorted(upto, (np.arange(QUANTILES) + 0.5) / QUANTILES * upto[-1])
    counts, means, stds = (np.array([getattr(part, of) for part in there], float) for of in ("known", "mean", "std"))
    with np.errstate(over="ignore", invalid="ignore"):  # a mean that is null is NaN here
        mean = (counts * means).sum() / known
        squares = ((counts - 1) * stds**2 + counts * (means - mean) ** 2).sum()
    return replace(
        made,
        min=min(part.min for part in there if part.min is not None),
        max=max(part.max for part in there if part.max is not None),
        mean=_held(mean),
        std=_held(math.sqrt(squares / max(1, known - 1))),
        quantiles=tuple(values[order][np.minimum(at, len(values) - 1)].tolist()),
    )


def _merged_texts(made: ColumnSketch, parts: Sequence[ColumnSketch]) -> ColumnSketch:
    counts: dict[str, int] = {}
    for part in parts:
        for value, count in part.values:
            counts[value] = counts.get(value, 0) + count
    return replace(made, **_most_frequent(counts.items(), made.known))


def _most_frequent(counted: Iterable[tuple[str, int]], known: int) -> dict[str, Any]:
    top = tuple(sorted(counted, key=lambda one: (-one[1], one[0]))[:VALUES])
    return {"values": top, "other": known - sum(count for _, count in top)}


def _of_texts(name: str, kind: Kind, values: pa.Array | pa.ChunkedArray) -> ColumnSketch:
    known = values.drop_null().cast(pa.string())
    counted = pc.value_counts(pc.utf8_slice_codeunits(known, 0, VALUE_LENGTH))
    table = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    top = table.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, VALUES)
    pairs = zip(top["value"].to_pylist(), top["count"].to_pylist(), strict=True)
    return ColumnSketch(name, kind, len(values), values.null_count, **_most_frequent(pairs, len(known)))


def _of_numbers(name: str, kind: Kind, values: pa.Array | pa.ChunkedArray) -> ColumnSketch:
    numbers = np.asarray(values.drop_null(), np.float64)
    finite = np.sort(numbers[np.isfinite(numbers)])
    made = ColumnSketch(name, kind, len(values), len(values) - len(finite))
    if not len(finite):
        return made
    at = ((2 * np.arange(QUANTILES) + 1) * len(finite) + 2 * QUANTILES - 1) // (2 * QUANTILES) - 1
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = finite.mean(), finite.std(ddof=1) if len(finite) > 1 else 0.0
    return replace(
        made,
        min=float(finite[0]),
        max=float(finite[-1]),
        mean=_held(mean),
        std=_held(std),
        quantiles=tuple(finite[at].tolist()),
    )


def _held(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
