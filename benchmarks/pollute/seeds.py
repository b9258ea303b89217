"""The rows before anybody polluted them: real wines, and orders that are made up. Each row's first value is unique."""

import csv
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.pollute.draft import Cell, Draft, Record, Value
from benchmarks.pollute.kinds import Kind

NOTES = (
    "paid twice", "", "Übergrößenträger", "naïve café", "2 for 1; hurry", "a,b|c^d\te", 'he said "no"', "it's", "#1",
    "C:\\temp\\", "日本語", "  padded  ", "two\nlines", "three\r\nmore\nlines", "=1+1", "NULL ", "-", "🍷", "true",
)  # fmt: skip


def wines(path: Path | None) -> list[list[str]]:
    """The records of the data set Wine Quality, white; without it, some that look like them."""
    if path and path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))[1:]
    random = Random(0)
    return [
        [f"{random.uniform(0, 200):.{random.randrange(1, 5)}f}" for _ in range(11)] + [str(random.randint(3, 9))]
        for _ in range(500)
    ]


def draft_of(kind: Kind, first_id: int, rows: int, random: Random, real: Sequence[Sequence[str]]) -> Draft:
    """A clean file of so many rows, whose ids begin with `first_id`."""
    records = []
    dt = date(2024, 1, 1) + timedelta(random.randrange(366))
    for number in range(first_id, first_id + rows):
        values: list[Value] = [number]
        if kind.table == "wine":
            wine = random.choice(real)
            values += [float(text) for text in wine[:-1]] + [int(wine[-1])]
        else:
            values += [made(column, kind, random) for column in kind.columns[1:]]
        values = [dt if c.get("source") == "folder" else v for c, v in zip(kind.columns, values, strict=True)]
        cells = [Cell(text_of(v, c, kind), v) for v, c in zip(values, kind.columns, strict=True)]
        records.append(Record(cells, tuple(values)))
    above = [f"# exported by hand, line {line + 1}" for line in range(kind.skip_lines)]
    draft = Draft(kind, records, list(kind.names), list(kind.in_file), above=above)
    draft.encoding, draft.ending = kind.encoding, kind.endings[0]
    draft.folder = f"dt={dt}" if len(kind.in_file) < len(kind.columns) else ""
    return draft


def made(column: Any, kind: Kind, random: Random) -> Value:
    """A value that the feed allows, and that the dialect can write."""
    type_ = column["type"]
    if column.get("nullable") and random.random() < 0.1:
        return None
    if type_ in ("double", "float"):
        value = round(random.uniform(0, 4000), random.randrange(1, 4))
        return float(np.float32(value)) if type_ == "float" else value
    if type_ in ("int", "long"):
        return random.randrange(0, 20_000)
    if type_ == "boolean":
        return random.random() < 0.5
    if type_ == "date":
        return date(1990, 1, 1) + timedelta(random.randrange(20_000))
    if type_ == "timestamp":  # at noon, when no clock changes
        return datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(random.randrange(300), random.randrange(3000))
    if allowed := column.get("allowed"):
        return str(random.choice(allowed))
    return note(kind, random)


def note(kind: Kind, random: Random) -> str | None:
    """A text; None where it says nothing, or what the dialect takes for nothing."""
    text = random.choice(NOTES)
    return None if text in kind.nulls or not can_write(text, kind.encoding) else text


def can_write(text: str, encoding: str) -> bool:
    """Whether a file of that encoding can hold a text."""
    try:
        return bool(text.encode(encoding))
    except UnicodeEncodeError:
        return False


def text_of(value: Value, column: Any, kind: Kind) -> str:
    """A value as the dialect writes it."""
    if value is None:
        return kind.nulls[0]
    if isinstance(value, bool):
        return str(kind.csv.get("true_values" if value else "false_values", ["true" if value else "false"])[0])
    if isinstance(value, int | float):
        return number(value, column, kind)
    if isinstance(value, datetime):
        local = value.astimezone(ZoneInfo(column.get("zone", "UTC")))
        return local.strftime(column.get("format", "%Y-%m-%d %H:%M:%S"))
    if isinstance(value, date):
        return value.strftime(column.get("format", "%Y-%m-%d"))
    return value


def number(value: float, column: Any, kind: Kind) -> str:
    """With the dialect's decimal mark and its groups of thousands."""
    text = repr(float(np.float32(value))) if column["type"] == "float" else repr(value)
    whole, point, fraction = text.partition(".")
    if kind.thousands and whole.isdigit() and column.get("role") != "key":
        whole = f"{int(whole):,}".replace(",", kind.thousands)
    return whole + point.replace(".", kind.decimal) + fraction
