"""The blocks of README, docs and the other pages do what they say: each page's are run, in their order.

A notebook of the examples is such a page: its cells are the blocks, and it starts from a finished stream.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Block, Page, read_page
from tests.docs.folders import Folders
from tests.docs.run_blocks import ROOT, PageRun

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
        *(ROOT / "docs").glob("**/*.md"),
    ]
)
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def page_of(path: Path) -> Page:
    if path.suffix == ".md":
        return read_page(path.read_text())
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    return Page("streamed", tuple(Block("python", "".join(cell["source"]), n) for n, cell in enumerate(cells, 1)))


def pages() -> list[Any]:
    """The pages with blocks to run.

    Those that need a model or a stream are for `make test-rest`, as they repeat each other.
    """
    found = []
    for path in [*filter(Path.exists, PAGES), *NOTEBOOKS]:
        page = page_of(path)
        marks = [pytest.mark.spark] * page.starts_spark + [pytest.mark.slow] * page.is_slow
        marks += [pytest.mark.repeats] * page.is_slow
        if page.run:
            found.append(pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks))
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("path", pages())
def test_the_blocks_of_a_page_run_in_their_order(path: Path, folders: Folders) -> None:
    page, title = page_of(path), path.relative_to(ROOT)
    folder = folders.start(page.start)
    with PageRun(folder / title.parent if path in NOTEBOOKS else folder, str(title)) as run:
        for block in page.run:
            run.run(block)
