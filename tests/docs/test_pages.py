"""The blocks of README, docs and the other pages do what they say: each page's are run, in their order."""

from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Page, read_page
from tests.docs.folders import Folders
from tests.docs.run_blocks import ROOT, PageRun

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
        *(ROOT / "docs").glob("**/*.md"),
    ]
)


def page_of(path: Path) -> Page:
    return read_page(path.read_text())


def pages() -> list[Any]:
    """The pages with blocks to run; marked as slow if they need a model or a stream."""
    found = []
    for path in filter(Path.exists, PAGES):
        page = page_of(path)
        marks = [pytest.mark.spark] * page.starts_spark + [pytest.mark.slow] * page.is_slow
        if page.run:
            found.append(pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks))
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("path", pages())
def test_the_blocks_of_a_page_run_in_their_order(path: Path, folders: Folders) -> None:
    page = page_of(path)
    with PageRun(folders.start(page.start), str(path.relative_to(ROOT))) as run:
        for block in page.run:
            run.run(block)
