"""All pages: their links lead somewhere, the paths that they name are there, and their lines are short enough."""

from pathlib import Path

from tests.docs.blocks import PageError, read_page
from tests.docs.links import broken_links, long_lines, missing_paths
from tests.docs.run_blocks import ROOT
from tests.docs.test_pages import PAGES

NOT_OURS = {"var", "dist"}  # what runs leave behind; folders with a dot are passed over too
OF_THE_PAST = {"CHANGELOG.md", "DECISIONS.md"}  # they name what was there then
# `make bench` writes it.
GENERATED = {"benchmarks/results.md"}
README_LINES = 130
LINE = 140


def markdown() -> list[Path]:
    """Every page of the project."""
    found = list(ROOT.glob("*.md"))
    for folder in ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in NOT_OURS:
            found += folder.rglob("*.md")
    return sorted(found)


def test_every_block_is_run_or_says_why_not() -> None:
    wrong = []
    for path in filter(Path.exists, PAGES):
        try:
            read_page(path.read_text())
        except PageError as error:
            wrong.append(f"{path.relative_to(ROOT)} {error}")
    assert wrong == []


def test_every_link_leads_to_a_file_and_a_heading_that_are_there() -> None:
    assert [broken for path in markdown() for broken in broken_links(path, ROOT)] == []


def test_every_path_in_backticks_is_there() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - NOT_OURS - {".venv", ".jars", ".tools"}
    pages = [path for path in markdown() if path.name not in OF_THE_PAST]
    assert [missing for path in pages for missing in missing_paths(path, ROOT, folders)] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_lines_of_prose_are_short_enough_to_diff() -> None:
    pages = [path for path in markdown() if str(path.relative_to(ROOT)) not in GENERATED]
    assert [f"{path.relative_to(ROOT)}:{n}" for path in pages for n in long_lines(path.read_text(), LINE)] == []
