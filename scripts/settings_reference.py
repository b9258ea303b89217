"""Writes the settings reference in `docs/` from the descriptions of the settings.

Each page holds its reference between two marker lines; everything outside them is written by hand.

    python -m scripts.settings_reference
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.settings import PREFIX, Settings
from training.settings import TrainingSettings

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- settings: written by scripts/settings_reference.py -->", "<!-- end of settings -->"
WIDTH = 120
FLAGS = {
    "profile": "--profile",
    "landing": "--landing",
    "checkpoint": "--checkpoint",
    "model_uri": "--model-uri",
    "tables.path": "--tables",
    "streaming.mode": "--mode",
    "streaming.trigger": "--trigger",
    "streaming.max_files": "--max-files",
    "streaming.clean": "--clean",
    "metrics.port": "--metrics-port",
    "serving.host": "--host",
    "serving.port": "--port",
    "serving.workers": "--workers",
    "serving.models": "--model",
}
SEE = {
    "registry": "[which registry is used](#registry) and [when it is away](models.md#swaps-and-refusals)",
    "store": "[model store](models.md#model-store)",
    "models": "[which models are loaded](models.md#which-models-are-loaded)",
    "storage": "[object store](#object-store)",
    "tables": "[maintenance](operations.md#maintain)",
    "streaming": "[streaming](streaming.md)",
    "routing": "[routes](routing.md)",
    "serving": "[online](online.md)",
    "request_log": "[log of requests](online.md#log-of-requests)",
    "split": "[splits](#splits)",
    "validation": "[validation](#validation)",
    "estimator": "[estimators](#estimators)",
    "tuning": "[tuning](#tuning)",
    "gate": "[gate](#gate)",
    "check": "[check](#check)",
}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
KINDS = {bool: "`true` or `false`", int: "a whole number", float: "a number", str: "text"}


def pages() -> dict[Path, str]:
    """Each page of `docs/` with a reference, as it has to read."""
    references: dict[str, Callable[[], str]] = {
        "settings.md": lambda: entries(Settings),
        "training.md": lambda: tables(TrainingSettings, lambda block: block != "series"),
        "series.md": lambda: tables(TrainingSettings, lambda block: block == "series"),
    }
    return {DOCS / name: between_markers(DOCS / name, text()) for name, text in references.items()}


def entries(settings: type[BaseModel]) -> str:
    """A heading and a paragraph for each setting, block by block."""
    parts = ["### General settings\n"]
    parts += [_entry(name, field) for name, field in settings.model_fields.items() if not _block(field)]
    for name, field in settings.model_fields.items():
        if block := _block(field):
            parts.append(_intro(name, block))
            parts += [_entry(f"{name}.{key}", inner) for key, inner in block.model_fields.items()]
    return "\n".join(parts)


def tables(settings: type[BaseModel], wanted: Callable[[str], bool]) -> str:
    """A table for each block of the training settings."""
    parts = []
    for name, field in settings.model_fields.items():
        if (block := _block(field)) and wanted(name):
            rows = [
                f"| `{name}.{key}` | {_default(inner)} | {_values(inner)} | {inner.description} |\n"
                for key, inner in block.model_fields.items()
            ]
            parts.append(
                f"{_intro(name, block)}\n| setting | default | values | meaning |\n|---|---|---|---|\n{''.join(rows)}"
            )
    return "\n".join(parts)


def _intro(name: str, block: type[BaseModel]) -> str:
    about = " ".join((block.__doc__ or "").split())
    return _wrap(f"### `{name}` settings\n\n{about}" + (f" See {SEE[name]}." if name in SEE else ""))


def _entry(key: str, field: FieldInfo) -> str:
    facts = [f"Default: {_default(field)}"]
    facts += [f"values: {_values(field)}"] if field.annotation is not str else []
    facts += [f"flag: `{FLAGS[key]}`"] if key in FLAGS else []
    facts += [f"variable: `{PREFIX}{key.replace('.', '__').upper()}`"]
    return _wrap(f"#### `{key}`\n\n{field.description}\n\n{'; '.join(facts)}.")


def _default(field: FieldInfo) -> str:
    value = field.default
    if value == "":
        return "empty"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    """What a setting may be: its choices, or its type with its bounds."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    kinds = {field.annotation, *get_args(field.annotation)} if get_origin(field.annotation) is not dict else {dict}
    if get_origin(field.annotation) is tuple:
        return "a list"
    kind = next((text for of, text in KINDS.items() if of in kinds), "a mapping")
    return " ".join([kind, " and ".join(_bounds(field))]).strip() + (", or `null`" if type(None) in kinds else "")


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound, words in BOUNDS.items():
        for limit in (getattr(each, bound, None) for each in field.metadata):
            if limit is not None:
                yield f"{words} {limit}"


def _block(field: FieldInfo) -> type[BaseModel] | None:
    kind: Any = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _wrap(text: str) -> str:
    """Paragraphs of at most `WIDTH` characters a line; code and links are not broken."""
    kept = re.sub(r"`[^`]*`|\[[^]]*]\([^)]*\)", lambda found: found[0].replace(" ", "\0"), text)
    filled = [
        textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
        for paragraph in kept.split("\n\n")
    ]
    return "\n\n".join(filled).replace("\0", " ") + "\n"


def between_markers(page: Path, reference: str) -> str:
    """A page with its reference replaced; everything outside the markers stays."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        msg = f"{page} has no lines '{BEGIN}' and '{END}'"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{reference}\n{END}{after}"


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
