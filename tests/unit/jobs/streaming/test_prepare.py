"""Which folders a stream may have: none that would be moved, scored or deleted with another."""

from pathlib import Path

import pytest

from jobs.streaming.prepare import assert_apart
from schemas.errors import SettingsError
from schemas.settings import Storage
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths

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
