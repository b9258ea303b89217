"""Which folders a stream may have: none that would be moved, scored or deleted with another; and torn tables."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.operations.doctor.storage import check_tables
from jobs.operations.status import read_status
from jobs.streaming.prepare import assert_apart, open_run, prepare
from schemas.errors import RecoveryError, SettingsError
from schemas.settings import Storage, load_settings
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.commit import commit
from streamscore.tables.recover import processed_files
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of

# landing, tables, checkpoint; what the error says
TOGETHER = [
    (("in", "t", "in"), "--landing {}/in is in --checkpoint {}/in"),
    (("c/in", "t", "c"), "--landing {}/c/in is in --checkpoint {}/c"),
    (("c/_in", "t", "c"), "--landing {}/c/_in is in --checkpoint {}/c"),
    (("in", "c/t", "c"), "--tables {}/c/t is in --checkpoint {}/c"),
    (("in", "c", "c"), "--tables {}/c is in --checkpoint {}/c"),
    (("in", "t", "in/c"), "--checkpoint {}/in/c is in --landing {}/in"),
    (("t/quarantine", "t", "c"), "--landing {}/t/quarantine is in --tables {}/t/quarantine"),
    (("in", "t", "t/predictions/c"), "--checkpoint {}/t/predictions/c is in --tables {}/t/predictions"),
    (("link/in", "t", "c"), "--landing {}/link/in is in --checkpoint {}/c"),
]
APART = [("in", "t", "c"), ("t/in", "t", "t/c"), ("in", "in/t", "in/_c"), ("in", "t", "inside"), ("c2", "t", "c")]


def paths(root: str, landing: str, tables: str, checkpoint: str) -> StreamPaths:
    storage = Storage()
    landing, tables, checkpoint = (f"{root}/{name}" for name in (landing, tables, checkpoint))
    return StreamPaths(open_folder(landing, storage), tables, open_folder(checkpoint, storage), Path(root), storage)


@pytest.mark.parametrize(("names", "said"), TOGETHER)
def test_folders_within_each_other_are_refused(tmp_path: Path, names: tuple[str, str, str], said: str) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "link").symlink_to("c")
    for root in [str(tmp_path)] + ["s3://bucket/x"] * ("link" not in said):
        with pytest.raises(SettingsError) as refused:
            assert_apart(paths(root, *names))
        assert str(refused.value).startswith(said.replace("{}", root))


@pytest.mark.parametrize("names", APART)
def test_folders_beside_each_other_are_not(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for root in (str(tmp_path), "s3://bucket/x"):
        assert_apart(paths(root, *names))


def test_a_commit_that_a_power_cut_tore_is_told_by_every_command_and_taken_out_by_recover(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = open_tables(tmp_path / "tables")
    for number in range(2):
        batch = a_batch(number)
        commit(parts_of(tables, batch, 3, 0), batch, tables, writer_of(tables))
    Path(tables.uri("predictions"), f"_delta_log/{2:020}.json").write_bytes(b"\0" * 99)
    for name in ("in", "checkpoint"):
        (tmp_path / name).mkdir()
    settings = load_settings(
        flags={
            "landing": str(tmp_path / "in"),
            "tables.path": str(tmp_path / "tables"),
            "checkpoint": str(tmp_path / "checkpoint"),
        }
    )
    said = rf"tables/predictions/_delta_log/{2:020}\.json is torn, .*: streamscore run FEED --recover"
    with pytest.raises(RecoveryError, match=said):
        read_status(FEED, settings)
    found = check_tables(FEED, StreamPaths.of(FEED, settings))
    assert (found.ok, found.fix) == (False, "streamscore run kit --recover") and "is torn" in found.found
    with ExitStack() as undo, pytest.raises(RecoveryError, match=said):
        prepare(open_run(FEED, settings), undo)
    with ExitStack() as undo:
        prepared = prepare(open_run(FEED, settings), undo, recover=True)
        assert [Path(file.path).name for file in processed_files(prepared.run.tables, "new")] == ["0.csv"]
    assert f"predictions/{2:020}.json were torn" in capsys.readouterr().out  # the event
