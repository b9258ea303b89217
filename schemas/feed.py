"""A feed: what its CSV files look like and which model scores them. One YAML file each, no code."""

import difflib
import functools
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.columns import TYPES, Column, folded, header_key, snake_case
from schemas.dialect import Dialect, can_read
from schemas.errors import FeedError
from schemas.feed_blocks import ROUTED_BY, RowRouting, Series
from schemas.yaml_text import misread, read_yaml

PACKAGED = Path(__file__).parent

__all__ = ["FORECAST", "RESERVED", "TYPES", "Column", "Dialect", "Feed", "Series", "feed_names", "first_problem"]
__all__ += ["load_feed", "read_feed", "snake_case"]

# columns that the stream adds to every prediction
RESERVED = frozenset(
    "prediction model_name model_version model_run_id batch_id source_file source_line landed_at predicted_at".split()
)

FORECAST = ("forecast", "lower", "upper")  # what is added to an endogenous column's name in forecasts


class Feed(BaseModel):
    """The contract of one kind of CSV file: dialect, columns, and the model that scores it."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(functools.cached_property,))

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["rows", "series"] = "rows"
    model: str = ""
    csv: Dialect = Dialect()
    series: Series = Series()
    routing: RowRouting | None = None
    columns: tuple[Column, ...] = Field(min_length=1)

    @property
    def model_uri(self) -> str:
        """The registry URI that the stream follows; `models:/<feed>@production` unless the feed says otherwise."""
        return self.model or f"models:/{self.name}@production"

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns that stand in the files, not in the names of their folders."""
        return tuple(c for c in self.columns if c.source == "file")

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that the model sees, in the feed's order."""
        return tuple(c for c in self.columns if c.role == "feature")

    @property
    def exogenous(self) -> tuple[Column, ...]:
        """The columns of a series feed that a model forecasts by, and does not forecast."""
        return tuple(c for c in self.columns if c.role == "exogenous")

    @property
    def observed(self) -> tuple[Column, ...]:
        """The numbers of an observation, in their order in a window: the features, then the exogenous columns."""
        return (*self.features, *self.exogenous)

    @property
    def target(self) -> Column | None:
        """The column that the model predicts; it may be absent from landed files."""
        return next((c for c in self.columns if c.role == "target"), None)

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns that tell one series from another; without any, a series feed is one series."""
        return tuple(c for c in self.columns if c.role == "key")

    @property
    def time(self) -> Column:
        """The time of an observation; every series feed has one."""
        return next(c for c in self.columns if c.role == "time")

    @functools.cached_property
    def routed_by(self) -> Column | None:
        """The column whose value says which model scores a row; None: one model scores them all."""
        return next((c for c in self.columns if self.routing and c.name == self.routing.column), None)

    @functools.cached_property
    def arrow_schema(self) -> pa.Schema:
        """The feed's columns under their table names, the original name as metadata.

        All nullable: what may be null is checked before a row is written, and a feed may be relaxed later.
        """
        return pa.schema(pa.field(c.table_name, c.arrow_type, metadata={"original_name": c.name}) for c in self.columns)

    @model_validator(mode="after")
    def _names_are_unique_and_free(self) -> Self:
        seen: dict[str, str] = {}
        taken = {folded(name) for name in RESERVED}
        for column in self.columns:
            if not column.table_name:
                msg = f"column '{column.name}' has no letter or digit in its name; give it a table_column"
                raise ValueError(msg)
            if (name := folded(column.table_name)) in taken:
                msg = f"column '{column.name}': the stream adds a column of that name; give it a table_column"
                raise ValueError(msg)
            if (other := seen.get(name)) is not None:
                msg = (
                    f"columns '{other}' and '{column.name}' are both '{column.table_name}' in the tables; "
                    f"give one a table_column"
                )
                raise ValueError(msg)
            seen[name] = column.name
        if not self.features:
            msg = "no column has the role 'feature'"
            raise ValueError(msg)
        if sum(c.role == "target" for c in self.columns) > 1:
            msg = "more than one column has the role 'target'"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _files_can_hold_it(self) -> Self:
        headers: dict[str, str] = {}
        for column in self.columns:
            if "\0" in column.name or column.name.startswith("\ufeff"):
                what = (
                    "has a NUL" if "\0" in column.name else "begins with a byte order mark, which editors do not show"
                )
                msg = f"column {column.name!r} {what}; no header that is read has one in a name, take it out"
                raise ValueError(msg)
            name = header_key(folded(column.name) if self.csv.header == "ignore_case" else column.name, "exact")
            if (other := headers.get(name)) is not None:
                under = f"csv.header: {self.csv.header}"
                msg = f"columns '{other}' and '{column.name}' are one name under {under}; rename one"
                raise ValueError(msg)
            headers[name] = column.name
            if not can_read(column.name, self.csv.encoding):
                msg = f"column '{column.name}' cannot be written in csv.encoding {self.csv.encoding}; change one"
                raise ValueError(msg)
            never = set(map(str, column.allowed or ())) & set(self.csv.null_values)
            if never and not column.nullable:
                msg = (
                    f"column '{column.name}' has {min(never)!r} in allowed, which csv.null_values makes null, and null "
                    f"is refused; take it out of one, or set nullable: true"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _rows_can_be_routed(self) -> Self:
        if self.routing is None:
            return self
        if self.kind == "series":
            msg = "'routing' is for kind: rows, and the feed is of kind 'series'; take it out"
            raise ValueError(msg)
        column = self.routed_by
        if column is None:
            near = difflib.get_close_matches(self.routing.column, [c.name for c in self.columns], 1)
            msg = f"'routing.column' is '{self.routing.column}', which is no column" + (
                f"; did you mean '{near[0]}'?" if near else ", wanted one of the feed"
            )
            raise ValueError(msg)
        if column.type not in ROUTED_BY or column.role == "target":
            found = "the target" if column.role == "target" else column.type
            msg = f"'routing.column' is '{column.name}', which is {found}, wanted a column of {', '.join(ROUTED_BY)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _series_can_be_forecast(self) -> Self:
        if self.kind == "rows":
            if "series" in self.model_fields_set:
                msg = "the feed is of kind 'rows', and 'series' is for kind: series; take it out"
                raise ValueError(msg)
            if self.exogenous:
                name = self.exogenous[0].name
                msg = f"column '{name}' has the role exogenous, which is for kind: series; give it the role feature"
                raise ValueError(msg)
            return self
        times = [c for c in self.columns if c.role == "time"]
        if len(times) != 1 or times[0].type not in ("date", "timestamp") or times[0].nullable:
            msg = (
                f"a feed of kind 'series' has {len(times)} columns of role 'time', wanted one, a date or timestamp "
                f"that is not nullable"
            )
            raise ValueError(msg)
        for column in self.observed:
            if column.type not in ("double", "float") or column.nullable or not column.finite:
                msg = (
                    f"column '{column.name}' of a feed of kind 'series' goes to the model: wanted double or float, "
                    f"finite, not nullable"
                )
                raise ValueError(msg)
        for column in self.keys:
            if column.type in ("double", "float"):
                msg = f"column '{column.name}' is a key of series and {column.type}; declare it string"
                raise ValueError(msg)
        added = {"observation", "step", "forecast_time", "failure"}
        added |= {f"{c.table_name}_{what}" for c in self.features for what in FORECAST}
        if taken := {folded(name) for name in added} & {folded(c.table_name) for c in self.columns}:
            msg = f"column '{min(taken)}': the stream adds a column of that name to forecasts; give it a table_column"
            raise ValueError(msg)
        return self


def feed_folders() -> list[Path]:
    """Where feeds are looked for: `./schemas` first, then those that come with streamscore."""
    return [Path.cwd() / "schemas", PACKAGED]


def feed_names() -> list[str]:
    """The names of all feeds that can be loaded from here."""
    return sorted({p.stem for folder in feed_folders() for p in folder.glob("*.yaml")})


def load_feed(name: str) -> Feed:
    """The feed of that name.

    Raises:
        FeedError: no such file, or it is wrong; names the file, the key, what was found and wanted.
    """
    for folder in feed_folders():
        path = folder / f"{name}.yaml"
        if path.is_file():
            feed = read_feed(path)
            if feed.name != name:
                msg = f"{path}: 'name' is '{feed.name}', wanted '{name}' as the file is called; rename one"
                raise FeedError(msg)
            return feed
    near = difflib.get_close_matches(name, feed_names(), 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    msg = (
        f"no feed '{name}': {hint}feeds here: {', '.join(feed_names())}; "
        f"to add one: streamscore schema --from-data FILE --out schemas/{name}.yaml, or --from-model URI"
    )
    raise FeedError(msg)


def read_feed(path: Path) -> Feed:
    """The feed in a YAML file.

    Raises:
        FeedError: the file is not a feed; names the key, what was found and wanted.
    """
    try:
        return Feed.model_validate(read_yaml(path))
    except ValidationError as error:
        msg = f"{path}: {first_problem(error, Feed)}"
        raise FeedError(msg) from error


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first finding of pydantic in one line: the key, what was found and wanted, the nearest known key."""
    # an unknown key first: it often is the misspelt one that is then missing
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in problem["loc"]) or model.__name__.lower()
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(model, problem["loc"])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, 1)
        return f"unknown key '{where}'; " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}")
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if problem["type"] in ("missing", "value_error") else f", found {problem['input']!r}"
    if problem["type"] == "string_type":
        found += f", {misread(problem['input'])}"
    return f"'{where}': {message}{found}"


def _keys_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [annotation, *getattr(annotation, "__args__", ())]
            model = next((t for t in inner if isinstance(t, type) and issubclass(t, BaseModel)), model)
    return sorted(field.alias or name for name, field in model.model_fields.items())
