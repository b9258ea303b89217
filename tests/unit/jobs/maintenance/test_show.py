"""`streamscore maintain`: what it prints, and its exit codes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from jobs.cli import main
from jobs.maintenance.lock import alone
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.commit import commit
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Tables of the feed `kit` in a working folder that has its schema."""
    tables = open_tables(tmp_path / "tables")
    for number in range(5):
        commit(parts_of(tables, a_batch(number), 3, 1), a_batch(number), tables, writer_of(tables))
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "kit.yaml").write_text(FEED.model_dump_json(exclude_unset=True))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    yield tmp_path
    structlog.reset_defaults()  # the command logs to the standard error of its test


def ended(*arguments: Any) -> Any:
    with pytest.raises(SystemExit) as end:
        main(["maintain", "kit", "--checkpoint", "checkpoint", *arguments])
    return end.value.code


def test_it_prints_before_and_after_and_a_dry_run_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("--tables", "tables", "--dry-run") == 0
    assert "predictions │ 5 " in capsys.readouterr().out
    assert ended("--tables", "tables") == 0
    said = capsys.readouterr().out
    assert "predictions │ 5 → 1 " in said and "quarantine  │ 5 → 1 " in said
    assert ended("--tables", "tables") == 0
    assert "predictions │ 1 " in capsys.readouterr().out


def test_no_tables_is_5_and_another_at_work_is_75(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--tables", "nowhere") == 5
    assert "no Delta tables in" in capsys.readouterr().err
    checkpoint = LocalFolder(folder / "checkpoint")
    paths = StreamPaths(LocalFolder(folder / "in"), str(folder / "tables"), checkpoint, checkpoint.path)
    with alone(paths, "kit"):
        assert ended("--tables", "tables") == 75
    assert "another maintenance of" in capsys.readouterr().err
