from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from typer.core import TyperGroup

from jobs.cli import app
from schemas.settings import Settings
from scripts.settings_reference import BEGIN, END, FLAGS, between_markers, entries, pages, tables
from training.settings import TrainingSettings


def keys_of(settings: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Dotted key → field, blocks left out."""
    keys = dict[str, FieldInfo]()
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= keys_of(field.annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field
    return keys


@pytest.mark.parametrize("page", sorted(pages()), ids=lambda page: page.name)
def test_a_page_reads_as_the_settings_say(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == pages()[page], "write it anew: python -m scripts.settings_reference"


@pytest.mark.parametrize("settings", [Settings, TrainingSettings])
def test_every_setting_has_a_description_that_is_a_sentence(settings: type[BaseModel]) -> None:
    described = {key: field.description or "" for key, field in keys_of(settings).items()}
    assert [key for key, said in described.items() if not said.endswith(".")] == []


def test_every_setting_is_on_its_page_once() -> None:
    settings, training = entries(Settings), tables(TrainingSettings, lambda block: True)
    assert [key for key in keys_of(Settings) if settings.count(f"#### `{key}`\n") != 1] == []
    assert [key for key in keys_of(TrainingSettings) if training.count(f"| `{key}` |") != 1] == []


def test_the_flags_are_those_of_run_and_serve() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    parameters = [p for name in ("run", "serve") for p in group.commands[name].params]
    options = {option for parameter in parameters for option in parameter.opts if option.startswith("--")}
    assert options - {"--recover", "--class-path", "--help"} == set(FLAGS.values())
    assert set(FLAGS) <= set(keys_of(Settings))


def test_an_entry_says_default_values_flag_and_variable() -> None:
    said = " ".join(entries(Settings).split())
    files = "values: a whole number above 0; flag: `--max-files`; variable: `STREAMSCORE_STREAMING__MAX_FILES`."
    assert f"Default: `1000`; {files}" in said
    assert "Default: `168.0`; values: a number at least 1 and at most 168;" in said
    assert "Default: `off`; values: `off`, `archive`, `delete`; flag: `--clean`;" in said


def test_a_table_says_what_a_setting_may_be() -> None:
    class Block(BaseModel):
        """Something."""

        choice: list[str] | None = Field(None, description="Which.")
        share: float | None = Field(0.5, gt=0, lt=1, description="How much.")

    class Example(BaseModel):
        block: Block = Block()

    assert tables(Example, lambda block: True).splitlines()[-1] == (
        "| `block.share` | `0.5` | a number above 0 and below 1, or `null` | How much. |"
    )


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert between_markers(page, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no markers\n")
    with pytest.raises(ValueError, match=r"page.md has no lines"):
        between_markers(page, "new\n")
