"""The rules of alerts: `conf/alerts.yaml`, checked key by key. What a rule means is in jobs/monitoring/alerts."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import SettingsError
from schemas.feed import first_problem
from schemas.yaml_text import read_yaml

PACKAGED = Path(__file__).parents[1] / "conf"
FILE = "alerts.yaml"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: object) -> object:
    """`90s`, `5m`, `1h` or `2d` as a timedelta.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(text, timedelta):
        return text
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        msg = f"found {text!r}, wanted a number and a unit, such as 30s, 5m, 1h or 2d"
        raise ValueError(msg)
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


Duration = Annotated[timedelta, BeforeValidator(duration)]
Window = Annotated[timedelta, BeforeValidator(duration), Field(gt=timedelta(0))]
Limit = Annotated[float, Field(allow_inf_nan=False)]
M = TypeVar("M", bound=BaseModel)
Value = str | bool | int | float


class Rule(BaseModel):
    """What all kinds of rules have.

    Attributes:
        name: unique in the file.
        feeds: it holds for; empty: for all.
        for_: how long its condition must hold before it fires; the key is `for`.
        keep_firing_for: how long its condition must not hold before it is resolved.
        summary, runbook: for whoever gets a notice: what it means, and where to read what to do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: str
    feeds: tuple[str, ...] = ()
    severity: Literal["critical", "warning", "info"] = "warning"
    for_: Duration = Field(timedelta(0), alias="for")
    keep_firing_for: Duration = timedelta(0)
    summary: str = ""
    runbook: str = ""


class LimitsRule(Rule):
    """A rule about a number: it fires outside of `below` … `above`.

    Attributes:
        clear_above, clear_below: once it fires, it goes on until the number is at most, or at least this; the limits
            themselves where they are not given.
    """

    above: Limit | None = None
    below: Limit | None = None
    clear_above: Limit | None = None
    clear_below: Limit | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it has limits; only a rule about values may have none."""
        return self.above is not None or self.below is not None

    @property
    def wants_limits(self) -> bool:
        """Whether it means nothing without them."""
        return True

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.wants_limits and not self.is_limited:
            msg = "wanted 'above' or 'below', found neither"
            raise ValueError(msg)
        for name, limit, clear, sign in (
            ("above", self.above, self.clear_above, 1),
            ("below", self.below, self.clear_below, -1),
        ):
            if clear is not None and (limit is None or sign * clear > sign * limit):
                msg = f"'clear_{name}' needs '{name}', and lies on the inner side of it"
                raise ValueError(msg)
        return self


class ValueRule(LimitsRule):
    """A row of a commit has a value outside of the limits, or one of some values."""

    kind: Literal["value"]
    table: str = "predictions"
    column: str
    values: tuple[Value, ...] = ()

    @property
    def wants_limits(self) -> bool:
        return not self.values

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if self.values and self.is_limited:
            msg = "found 'values' beside 'above' or 'below', wanted one of them"
            raise ValueError(msg)
        return self


class CountRule(LimitsRule):
    """The number of rows in a window, or of those with some values; with `per`, the rate."""

    kind: Literal["count"]
    table: str = "predictions"
    window: Window
    per: Window | None = None
    column: str = ""
    values: tuple[Value, ...] = ()

    @model_validator(mode="after")
    def _column_has_values(self) -> Self:
        if bool(self.column) != bool(self.values):
            msg = "'column' and 'values' belong together: rows with one of these values are counted"
            raise ValueError(msg)
        return self


class AbsenceRule(Rule):
    """No row came for so long."""

    kind: Literal["absence"]
    table: str = "predictions"
    window: Window


class RejectRatioRule(LimitsRule):
    """The share of rejects among all rows in a window, by `batches`; nothing is said of fewer than `min_rows` rows."""

    kind: Literal["reject_ratio"]
    window: Window
    min_rows: int = Field(100, gt=0)


class WaitingFilesRule(LimitsRule):
    """The number of files that wait in the landing folder."""

    kind: Literal["waiting_files"]


class EventRule(Rule):
    """An event of some kinds happened; it holds until one of others does, or, where there are none, for that moment."""

    kind: Literal["event"]
    events: tuple[str, ...] = Field(min_length=1)
    until: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _moment_does_not_last(self) -> Self:
        if self.for_ and not self.until:
            msg = "'for' needs 'until': an event without it holds for its moment only"
            raise ValueError(msg)
        return self


class Receiver(BaseModel):
    """Who gets notices: a receiver of Standard Webhooks.

    Attributes:
        secret_env: the variable with the secret that signs them, `whsec_…`; never the secret itself.
        severities: of the rules whose notices it gets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    url: str = Field(pattern=r"^https?://[^/\s]+\S*$")
    secret_env: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    severities: tuple[Literal["critical", "warning", "info"], ...] = ("critical", "warning", "info")


AnyRule = ValueRule | CountRule | AbsenceRule | RejectRatioRule | WaitingFilesRule | EventRule
KINDS: dict[str, type[AnyRule]] = {
    "value": ValueRule,
    "count": CountRule,
    "absence": AbsenceRule,
    "reject_ratio": RejectRatioRule,
    "waiting_files": WaitingFilesRule,
    "event": EventRule,
}


@dataclass(frozen=True, slots=True)
class Alerts:
    """What `conf/alerts.yaml` holds."""

    rules: tuple[AnyRule, ...]
    receivers: tuple[Receiver, ...] = ()


def load_alerts(path: Path | None = None) -> Alerts:
    """The rules and receivers in a file; of `conf/alerts.yaml`, or the packaged ones, where none is given.

    Raises:
        SettingsError: the file is wrong; names the rule, the key, what was found and wanted.
    """
    if path is None:
        path = Path("conf", FILE) if Path("conf", FILE).is_file() else PACKAGED / FILE
    return alerts_of(read_yaml(path), str(path))


def alerts_of(said: Any, where: str) -> Alerts:
    """What somebody wrote down: a mapping with the lists `rules` and, perhaps, `receivers`.

    Args:
        where: for the message.

    Raises:
        SettingsError: as `load_alerts`.
    """
    is_right = isinstance(said, Mapping) and {"rules"} <= set(said) <= {"rules", "receivers"}
    if not is_right or not all(isinstance(some, list) for some in said.values()):
        msg = f"{where}: wanted the key 'rules', perhaps 'receivers', and in each a list; see docs/monitoring.md"
        raise SettingsError(msg)
    rules = tuple(_rule_of(one, f"{where}: rule {number}") for number, one in enumerate(said["rules"], 1))
    told = enumerate(said.get("receivers", ()), 1)
    receivers = tuple(_parsed(Receiver, one, f"{where}: receiver {number}") for number, one in told)
    for kind, names in (("rules", [r.name for r in rules]), ("receivers", [r.name for r in receivers])):
        if twice := next((name for name in names if names.count(name) > 1), None):
            msg = f"{where}: two {kind} are called '{twice}'; rename one"
            raise SettingsError(msg)
    return Alerts(rules, receivers)


def _rule_of(said: Any, where: str) -> AnyRule:
    kind = said.get("kind") if isinstance(said, Mapping) else "value"
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"wanted one of {', '.join(KINDS)}"
        msg = f"{_named(said, where)}: 'kind' is {kind!r}; {hint}"
        raise SettingsError(msg)
    return _parsed(KINDS[kind], said, where)


def _parsed(model: type[M], said: Any, where: str) -> M:
    if not isinstance(said, Mapping):
        msg = f"{where}: found {said!r}, wanted a mapping: name and more"
        raise SettingsError(msg)
    try:
        return model.model_validate(said)
    except ValidationError as error:
        msg = f"{_named(said, where)}: {first_problem(error, model)}"
        raise SettingsError(msg) from error


def _named(said: Mapping[str, Any], where: str) -> str:
    return f"{where} '{said['name']}'" if isinstance(said.get("name"), str) else where
