"""A feed's table as one Arrow table: which rows, which columns, and what is said where there are none."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import FeedError, SettingsError, StorageError
from schemas.feed import load_feed
from schemas.settings import Settings, load_settings
from schemas.tables import QUARANTINE_SCHEMA, predictions_schema
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.read_table import read_table
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"tables.path": f"{tmp_path}/{{feed}}"})


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Two micro-batches: three predictions and one reject each."""
    made = open_tables(tmp_path / FEED.name)
    for number in range(2):
        batch = a_batch(number)
        commit(parts_of(made, batch, 3, 1), batch, made, writer_of(made))
    return made


def test_every_row_in_the_documented_columns(tables: Tables, settings: Settings) -> None:
    predictions = read_table(FEED, settings=settings)
    assert predictions.schema.equals(predictions_schema(FEED, pa.float64()))
    assert sorted(predictions["batch_id"].to_pylist()) == [0, 0, 0, 1, 1, 1]
    quarantine = read_table(FEED, "quarantine", settings=settings)
    assert quarantine.schema.equals(QUARANTINE_SCHEMA) and quarantine.num_rows == 2


def test_only_the_columns_asked_for_in_their_order(tables: Tables, settings: Settings) -> None:
    read = read_table(FEED, columns=["prediction", "source_file"], settings=settings)
    assert read.column_names == ["prediction", "source_file"] and read.num_rows == 6


def test_an_older_version_as_it_was(tables: Tables, settings: Settings) -> None:
    assert [read_table(FEED, version=version, settings=settings).num_rows for version in (0, 1, 2)] == [0, 3, 6]


def test_tables_that_maintenance_makes(tables: Tables, settings: Settings) -> None:
    with pytest.raises(StorageError, match=r"no table at .*/kit/batches yet; make it: streamscore run kit"):
        read_table(FEED, "batches", settings=settings)
    append_batch_rows(tables)
    assert sorted(read_table(FEED, "batches", settings=settings)["batch_id"].to_pylist()) == [0, 1]


def test_without_settings_those_of_the_working_folder_hold(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSCORE_TABLES__PATH", "{feed}")
    assert read_table(FEED).num_rows == 6


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (
            {"table": "forecasts"},
            SettingsError,
            r"feed kit has no table 'forecasts', wanted one of predictions, quarant",
        ),
        ({"table": "quarantin"}, SettingsError, r"next: read_table\('kit', 'quarantine'\)"),
        (
            {"columns": ["predicton"]},
            SettingsError,
            r"no column 'predicton', did you mean 'prediction'\? It has first_va",
        ),
        ({"version": 3}, StorageError, r"no version 3, its newest is 2; next: read_table\('kit', version=2\)"),
        ({"version": -1}, StorageError, r"no version -1, its newest is 2"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    tables: Tables, settings: Settings, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_table(FEED, **asked, settings=settings)


def test_a_lost_file_is_told_in_one_line(tables: Tables, settings: Settings) -> None:
    next(Path(tables.uri("predictions")).glob("*.parquet")).unlink()
    with pytest.raises(
        StorageError, match=r"/kit/predictions cannot be read: .*look: streamscore doctor kit"
    ) as caught:
        read_table(FEED, settings=settings)
    assert "\n" not in str(caught.value)


def test_no_table_yet_and_no_such_feed(settings: Settings) -> None:
    with pytest.raises(
        StorageError, match=r"no table at .*wine_quality/predictions yet; make it: streamscore run wine_q"
    ):
        read_table("wine_quality", settings=settings)
    with pytest.raises(FeedError, match="did you mean 'wine_quality'"):
        read_table("wine_qualiti", settings=settings)


def test_a_series_feed_has_forecasts_in_the_place_of_predictions(settings: Settings) -> None:
    series = load_feed("macrodata")
    with pytest.raises(
        SettingsError, match=r"no table 'predictions', wanted one of forecasts, quarantine, batches, ev"
    ):
        read_table(series, settings=settings)
    with pytest.raises(StorageError, match="/forecasts yet"):
        read_table(series, "forecasts", settings=settings)


def test_the_process_that_read_ends_well(tables: Tables, tmp_path: Path) -> None:
    code = (
        "from schemas.settings import load_settings\nfrom streamscore import read_table\n"
        "from tests.support.tables_kit import FEED\n"
        f"print(read_table(FEED, settings=load_settings(flags={{'tables.path': '{tmp_path}/{{feed}}'}})).num_rows)"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")
