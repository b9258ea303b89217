"""The columns of a feed: their names, their types, and what their values may be."""

import functools
import math
import re
import unicodedata
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from schemas.time_format import time_format
from schemas.value_text import Value, parse
from schemas.yaml_text import misread, shown

TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}

NUMBERS = ("int", "long", "float", "double")
_WHOLE = ("int", "long")
_LARGEST = {"int": 2**31 - 1, "long": 2**63 - 1, "float": float(np.finfo(np.float32).max)}
# The types of allowed values, and how they are written.
_WRITTEN: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), 'text, as ["1", "yes"]'),
    "boolean": ((bool,), "true or false"),
    "int": ((int,), "whole numbers of 32 bits"),
    "long": ((int,), "whole numbers of 64 bits"),
    "float": ((int, float), "finite numbers"),
    "double": ((int, float), "finite numbers"),
    "date": ((date,), 'text, as ["2024-12-31"]'),
    "timestamp": ((datetime,), 'text, as ["2024-12-31T10:00:00Z"]'),
}

# Limits were floats once, and the digest of a feed with `min: 0` is in the tags of its models.
Limit = Annotated[int | float, PlainSerializer(lambda value: float(value) if float(value) == value else value)]


def snake_case(name: str) -> str:
    """A column name that Delta accepts: `fixed acidity` → `fixed_acidity`, `pH` → `ph`, `bornAt` → `born_at`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+", "_", words).strip("_").lower()


def folded(name: str) -> str:
    """What spellings of a name have in common that differ in case alone.

    Spark, too, takes them for one column: `upper` tells that ı and ſ are I and S to it, which `casefold` does not.
    """
    return name.strip().casefold().upper().casefold()


def _is_between(value: Any, low: int | float | None, high: int | float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _holds_no_whole_number(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and math.ceil(low) > math.floor(high)


def header_key(name: str, header: str) -> str:
    """What is equal for all spellings of a column's name that `csv.header` takes for one.

    Spaces around it do not count, nor whether é is one character or two, nor how a line break in it is written.
    """
    name = name.strip()
    if not name.isascii() or "\r" in name:
        name = unicodedata.normalize("NFC", name.replace("\r\n", "\n").replace("\r", "\n"))
    return name.casefold() if header == "ignore_case" else name


class Column(BaseModel):
    """One column: its name in the CSV header, its type, and what its values may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(functools.cached_property,))

    name: str = Field(min_length=1)
    type: Literal["string", "boolean", "int", "long", "float", "double", "date", "timestamp"]
    role: Literal["feature", "exogenous", "key", "time", "target", "carry"] = "feature"
    source: Literal["file", "folder"] = "file"
    nullable: bool = False
    min: Limit | None = None
    max: Limit | None = None
    allowed: tuple[str | int | float | bool, ...] | None = None
    finite: bool = True
    format: str | None = None
    zone: str | None = None
    table_column: str | None = None

    @functools.cached_property
    def table_name(self) -> str:
        """The column's name in the tables."""
        return self.table_column or snake_case(self.name)

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's type in Arrow and in the tables."""
        return TYPES[self.type]

    @functools.cached_property
    def allowed_values(self) -> pa.Array | None:
        """The allowed values as the column's type; None where every value is."""
        return None if self.allowed is None else pa.array(map(self._allowed_value, self.allowed), self.arrow_type)

    @field_validator("min", "max", mode="before")
    @classmethod
    def _is_a_finite_number(cls, value: Any) -> Any:
        try:  # text too: YAML reads 1e3, nan and inf as text, of which pydantic makes numbers
            is_wrong = isinstance(value, bool) or not math.isfinite(float(value))
        except (ValueError, TypeError):
            return value
        except OverflowError:  # a whole number that no column holds
            is_wrong = True
        if is_wrong:
            msg = f"found {shown(value)}, wanted a finite number; where there is no limit, take the key out"
            raise ValueError(msg)
        return value

    @field_validator("allowed", mode="before")
    @classmethod
    def _has_values(cls, values: Any) -> Any:
        if values in ([], ()):
            msg = "found an empty list, which refuses every row; list values or take the key out"
            raise ValueError(msg)
        for value in values if isinstance(values, list | tuple) else ():
            if not isinstance(value, str | int | float):
                msg = f"found {value}, {misread(value)}"
                raise ValueError(msg)
        return values

    @field_validator("table_column")
    @classmethod
    def _is_in_snake_case(cls, value: str | None) -> str | None:
        if value is not None and (not value or value != snake_case(value)):
            as_this = snake_case(value) or "age_below_30"
            msg = f"found {value!r}, wanted a name in snake_case, as {as_this!r}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _limits_fit_the_type(self) -> Self:
        found = ", ".join(f"{k} {v}" for k, v in (("min", self.min), ("max", self.max)) if v is not None)
        wrong = ""
        if found and self.type not in NUMBERS:
            wrong = f"is {self.type} and has {found}; min and max are for numbers, take them out"
        elif self.min is not None and self.max is not None and self.min > self.max:
            wrong = f"has min {self.min}, which is more than max {self.max}; no value is both, change one"
        elif self.type in _WHOLE and _holds_no_whole_number(self.min, self.max):
            wrong = f"has {found}, between which there is no whole number; change one"
        elif (self.min or 0) > (top := _LARGEST.get(self.type, math.inf)) or (self.max or 0) < -top - 1:
            wrong = f"has {found}, which no {self.type} is; widen the range, or declare it long or double"
        elif not self.finite and self.type not in ("float", "double"):
            wrong = f"is {self.type} and has finite: false, which is for float and double; take it out"
        if wrong:
            msg = f"column '{self.name}' {wrong}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _its_text_can_be_read(self) -> Self:
        known = {"format": ("date", "timestamp"), "zone": ("timestamp",)}
        for key in [k for k, fits in known.items() if getattr(self, k) is not None and self.type not in fits]:
            types = " and ".join(known[key])
            msg = f"column '{self.name}' is {self.type} and has {key}, which is for {types}; take it out"
            raise ValueError(msg)
        if self.source == "folder" and self.role in ("feature", "exogenous", "target"):
            msg = f"column '{self.name}' is of a folder and has the role {self.role}, wanted key, time or carry"
            raise ValueError(msg)
        if self.format is not None:
            time_format(self.format, self.type == "date")
        if self.zone is not None:
            try:  # Python knows the rules beyond 2037, Arrow takes an offset for a zone
                ZoneInfo(self.zone)
                pc.assume_timezone(pa.array([0], pa.timestamp("us")), self.zone)
            except (pa.ArrowException, ValueError, LookupError, OSError) as error:
                known_names = "a name of the time zone database, as Europe/Berlin"
                msg = f"column '{self.name}' has zone {self.zone!r}, wanted {known_names}"
                raise ValueError(msg) from error
        return self

    @model_validator(mode="after")
    def _allowed_fit_the_type(self) -> Self:
        for value in self.allowed or ():
            where = f"column '{self.name}' is {self.type} and has {shown(value)} in allowed"
            try:
                known = self._allowed_value(value)
            except (ValueError, OverflowError, pa.ArrowException) as error:
                why = f", {misread(value)}" if self.type == "string" else ""
                msg = f"{where}{why}; wanted {_WRITTEN[self.type][1]}"
                raise ValueError(msg) from error
            _low, _high = self.min, self.max
            if self.type in NUMBERS and not _is_between(known, self.min, self.max):
                msg = f"{where}, which is not in the range of min and max; widen the range or take the value out"
                raise ValueError(msg)
        return self

    def _allowed_value(self, value: str | int | float | bool) -> Value:
        """The value of the column's type that is meant.

        Raises:
            ValueError: none is.
        """
        known = parse(value, self.type) if isinstance(value, str) else value
        if type(known) not in _WRITTEN[self.type][0] or (isinstance(known, float) and not math.isfinite(known)):
            msg = f"{known!r} is not {self.type}"
            raise ValueError(msg)
        pa.array([known], self.arrow_type)  # 32 or 64 bits hold it
        return known
