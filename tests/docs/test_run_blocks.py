from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tests.docs.blocks import Block
from tests.docs.run_blocks import BlockFailed, PageRun


@pytest.fixture
def run(tmp_path: Path) -> Iterator[PageRun]:
    with PageRun(tmp_path, "page.md") as made:
        yield made


def test_a_bash_block_runs_in_the_folder_with_the_projects_commands(run: PageRun, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    printed = run.run(Block("bash", "ls\ncommand -v streamscore\n", 1))
    assert printed.startswith("here\n") and printed.endswith("bin/streamscore\n")


@pytest.mark.parametrize("code", ["false\ntrue\n", "echo $UNSET_NAME\n", "false | cat\n"])
def test_a_bash_block_fails_with_its_first_failing_command(run: PageRun, code: str) -> None:
    with pytest.raises(BlockFailed, match=r"page\.md, block at line 7"):
        run.run(Block("bash", code, 7))


def test_what_a_bash_block_leaves_running_ends_with_it(run: PageRun, tmp_path: Path) -> None:
    run.run(Block("bash", "(sleep 1; touch late) &\n", 1))
    run.run(Block("bash", "sleep 2; ! test -e late\n", 2))


def test_python_blocks_share_their_names_and_tell_their_line(run: PageRun) -> None:
    run.run(Block("python", "a = 1\n", 1))
    assert run.run(Block("python", "print(a + 1)\n", 4)) == "2\n"
    with pytest.raises(BlockFailed, match=r'"page\.md line 9", line 2'):
        run.run(Block("python", "b = a\n1 / 0\n", 9))


def test_sql_sees_the_tables_by_feed_and_with_one_feed_by_their_name_alone(run: PageRun, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "var" / "tables" / "wines" / "predictions", pa.table({"a": [1, 2]}))
    assert "3" in run.run(Block("sql", "SELECT sum(a) FROM predictions; SELECT * FROM wines.predictions;", 1))
    with pytest.raises(BlockFailed, match="line 5"):
        run.run(Block("sql", "SELECT b FROM predictions", 5))
