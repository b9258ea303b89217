"""`streamscore schema --out`: a feed's file is there when it is whole, and never instead of another."""

from pathlib import Path

import pytest

from jobs.cli import main
from schemas.feed import read_feed


def schema(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["schema", *arguments])
    return int(ended.value.code or 0)


def test_a_feed_is_written_once_and_named_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,x\n2,y\n")
    out = tmp_path / "schemas" / "orders.yaml"
    assert schema("--from-data", str(tmp_path / "in.csv"), "--out", str(out)) == 0
    assert read_feed(out).name == "orders"
    before = out.read_text()
    assert schema("--from-data", str(tmp_path / "in.csv"), "--out", str(out)) == 2
    assert "is there already; delete it, or name another file" in capsys.readouterr().err
    assert out.read_text() == before


def test_a_proposal_that_fails_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,a\n1,2\n")
    out = tmp_path / "schemas" / "orders.yaml"
    assert schema("--from-data", str(tmp_path / "in.csv"), "--kind", "series", "--out", str(out)) == 2
    assert not out.exists()
