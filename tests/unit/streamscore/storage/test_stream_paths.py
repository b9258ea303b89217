"""The folders of a stream: which are made, and which have to be there."""

import os
from pathlib import Path

import pytest

from schemas.errors import SettingsError, StorageError
from schemas.feed import load_feed
from schemas.settings import Settings
from streamscore.storage.places import place
from streamscore.storage.stream_paths import StreamPaths
from tests.support.nobody import as_nobody, folder_for_nobody

FEED = load_feed("wine_quality")


def paths(root: Path, landing: str = "", clean: str = "off", tables: str = "tables") -> StreamPaths:
    """Of settings that name a landing folder, or none."""
    settings = Settings(
        tables={"path": str(root / tables)},
        checkpoint=str(root / "checkpoint"),
        streaming={"clean": clean},
    )
    return StreamPaths.of(FEED, settings.model_copy(update={"landing": landing} if landing else {}))


def test_a_landing_folder_that_somebody_named_is_not_made(tmp_path: Path) -> None:
    """Its name may be mistyped, and a stream of an empty folder ends with 0."""
    missing = paths(tmp_path, str(tmp_path / "in {feed}"))
    with pytest.raises(StorageError) as refused:
        missing.make()
    there = tmp_path / "in wine_quality"
    assert str(refused.value).startswith(f"--landing {there}: no such folder")
    assert str(refused.value).endswith(f"mkdir -p '{there}'")
    assert list(tmp_path.iterdir()) == []
    there.mkdir()
    missing.make()


def test_the_default_landing_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths(tmp_path).make()
    assert (tmp_path / "var" / "landing" / "wine_quality").is_dir()


@pytest.mark.parametrize(
    ("clean", "mode", "said"),
    [
        ("off", 0o555, ""),
        ("archive", 0o555, "cannot be written by this user"),
        ("delete", 0o555, "cannot be written by this user"),
        ("off", 0o333, "cannot be read by this user"),
    ],
)
def test_a_landing_folder_has_to_be_written_only_where_it_is_cleaned_up(clean: str, mode: int, said: str) -> None:
    with folder_for_nobody() as root:
        (root / "in").mkdir()
        (root / "in").chmod(mode)
        made = paths(root, str(root / "in"), clean)

        def make() -> str:
            try:
                made.make()
            except StorageError as error:
                return str(error)
            return ""

        assert said in (found := as_nobody(make)) and bool(said) == bool(found)
        (root / "in").chmod(0o755)


def test_a_path_for_tables_that_delta_rs_would_look_for_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="found '%2F', which delta-rs reads as '/', wanted a path without"):
        paths(tmp_path / "feature%2Fx")
    assert paths(tmp_path, tables="100%").tables.endswith("100%")


def test_braces_in_a_path_are_braces() -> None:
    assert place("/in/{feed}/{day}", "wine") == "/in/wine/{day}"
    assert place("in", "wine") == os.path.abspath("in")


@pytest.mark.parametrize("given", ["", " ", "~/in", "file:/in", "hdfs:/in", "a\0b"])
def test_what_is_no_path_is_not_the_working_folder(given: str) -> None:
    with pytest.raises(SettingsError, match="for a folder, wanted a path such as"):
        place(given, "wine")
    if given:
        with pytest.raises(SettingsError, match=r"^--landing: found "):
            paths(Path("/"), given)
