"""A feed's table, followed by anyone's script."""

import threading
from pathlib import Path

import pytest

from schemas.errors import FeedError, SettingsError, StorageError
from schemas.settings import Settings, load_settings
from streamscore.following.follow_table import follow_table
from streamscore.tables.commit import commit
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"tables.path": f"{tmp_path}/{{feed}}"})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / FEED.name)


def put(tables: Tables, number: int) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, 3, 1), batch, tables, writer_of(tables))


def test_what_is_there_and_then_what_comes(tables: Tables, settings: Settings) -> None:
    put(tables, 0)
    assert [change.version for change in follow_table(FEED, start=0, wait=False, settings=settings)] == [1]
    assert list(follow_table(FEED, wait=False, settings=settings)) == []
    changes = follow_table(FEED, start=0, settings=settings)
    assert next(changes).version == 1
    later = threading.Timer(0.2, put, [tables, 1])
    later.start()
    change = next(changes)
    later.join()
    assert (change.version, change.rows["batch_id"].to_pylist()) == (2, [1, 1, 1])
    assert list(follow_table(FEED, start=change.cursor, wait=False, settings=settings)) == []


def test_other_tables_of_the_feed(tables: Tables, settings: Settings) -> None:
    put(tables, 0)
    (change,) = follow_table(FEED, "quarantine", start=0, wait=False, settings=settings)
    assert change.rows["reason"].to_pylist() == ["bad_type"]


def test_what_is_not_there_is_told(settings: Settings) -> None:
    with pytest.raises(StorageError, match=r"no table at .*/kit/predictions yet; make it: streamscore run kit"):
        list(follow_table(FEED, wait=False, settings=settings))
    with pytest.raises(
        SettingsError, match=r"no table 'quarantin', wanted one of .*follow_table\('kit', 'quarantine'\)"
    ):
        follow_table(FEED, "quarantin", settings=settings)
    with pytest.raises(FeedError, match="did you mean 'wine_quality'"):
        follow_table("wine_qualiti", settings=settings)
