"""The notebooks are what Jupyter reads: format 4.5, ids, sources as lines, no outputs that change with each run."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_valid_and_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"].keys() == {"display_name", "language", "name"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert isinstance(cell["metadata"], dict)
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_an_example_is_short() -> None:
    files = [path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".sh", ".ipynb", ".yaml", ".yml", ".csv")]
    here = [path for path in files if "var" not in path.relative_to(EXAMPLES).parts]
    assert [str(path) for path in here if len(path.read_text().splitlines()) >= 60] == []
