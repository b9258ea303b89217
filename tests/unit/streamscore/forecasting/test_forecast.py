"""Series feeds without Spark: what is taken, what follows it, and that the table alone says what came before."""

import gzip
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.maintenance.compact import Budget, compact
from jobs.operations.doctor.storage import check_tables
from jobs.operations.replay.replay import Selection, replay_rows
from jobs.operations.status import read_status
from jobs.streaming.prepare import open_run
from schemas.errors import ContractError, FeedError, SettingsError
from schemas.feed import Feed, load_feed
from schemas.settings import load_settings
from schemas.tables import forecasts_schema
from streamscore.forecasting import to_parts
from streamscore.forecasting.forecast import forecast
from streamscore.forecasting.history import History, read_history
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import load_model
from streamscore.models.series_model import SeriesModel
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.registry.model_version import ModelVersion
from streamscore.spark.udf import predict_udf
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.delta_log import DeltaLog
from tests.support.series_kit import HEADER, Driver, SeriesOracle, feed_of, line, load, metadata, save_model

Drivers = Callable[..., Driver]
Models = dict[str, SeriesModel]

FEED = feed_of()
MODELS = {"1": (3, 1.0), "2": (5, 0.5), "3": (2, 2.0)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The versions of MODELS."""
    folder = tmp_path_factory.mktemp("models")
    return {version: save_model(folder, *of) for version, of in MODELS.items()}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> Models:
    return {version: load(path, FEED, version) for version, path in folders.items()}


@pytest.fixture
def driver_of(tmp_path: Path) -> Drivers:
    return lambda feed=FEED, **more: Driver(tmp_path, feed, **more)


def landed(driver: Driver) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(driver.landing.iterdir())}


def assert_exactly_once(driver: Driver, **models: Any) -> None:
    oracle = SeriesOracle(driver.feed, MODELS | models)
    oracle.assert_exactly_once(landed(driver), driver.table("forecasts"), driver.table("quarantine"))


# --- the feed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"role": "carry"}, "has 0 columns of role 'time'"),
        ({"nullable": True}, "not nullable"),
        ({"type": "string"}, "a date or timestamp"),
    ],
)
def test_a_series_feed_has_one_time(change: dict[str, Any], says: str) -> None:
    raw = FEED.model_dump(mode="json", exclude_unset=True)
    raw["columns"][1] |= change
    with pytest.raises(ValidationError, match=says):
        Feed.model_validate(raw)


@pytest.mark.parametrize("change", [{"type": "int"}, {"nullable": True}, {"finite": False}])
def test_what_a_series_model_sees_are_finite_numbers(change: dict[str, Any]) -> None:
    raw = FEED.model_dump(mode="json", exclude_unset=True)
    raw["columns"][3] |= change
    with pytest.raises(ValidationError, match="column 'load' of a feed of kind 'series' goes to the model"):
        Feed.model_validate(raw)


def test_a_key_of_series_is_no_fraction() -> None:
    raw = FEED.model_dump(mode="json", exclude_unset=True)
    raw["columns"][0] |= {"type": "double"}
    with pytest.raises(ValidationError, match="column 'sensor' is a key of series and double"):
        Feed.model_validate(raw)


def test_a_column_may_not_be_called_as_one_of_forecasts() -> None:
    raw = FEED.model_dump(mode="json", exclude_unset=True)
    raw["columns"][0] |= {"name": "temp lower"}
    with pytest.raises(ValidationError, match="'temp_lower': the stream adds a column of that name"):
        Feed.model_validate(raw)


def test_rules_for_series_are_for_series_only() -> None:
    raw = load_feed("wine_quality").model_dump(mode="json", exclude_unset=True) | {"series": {"steps": 2}}
    with pytest.raises(ValidationError, match="'series' is for kind: series"):
        Feed.model_validate(raw)


# --- the contract


def test_a_rows_feed_refuses_a_series_model(folders: dict[str, Path]) -> None:
    with pytest.raises(ContractError, match="'series', feed wine_quality is of kind 'rows'") as error:
        load_model(folders["1"], load_feed("wine_quality"), ModelVersion("lags", "1", "r"))
    assert error.value.exit_code == 3


def test_a_series_feed_refuses_a_rows_model(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="sensors v7 is of kind 'rows', feed sensors is of kind 'series'"):
        load(save_model(tmp_path, metadata={"other": 1}), FEED, "7")


def test_a_series_model_forecasts_the_features_of_the_feed(tmp_path: Path) -> None:
    path = save_model(tmp_path, metadata=metadata(3, ("temp", "wind")))
    with pytest.raises(ContractError, match="forecasts temp, wind from 3 observations, the feed's features are temp"):
        load(path, FEED)


def test_a_model_with_its_columns_in_another_order_gives_the_same(tmp_path: Path, models: Models) -> None:
    turned = load(save_model(tmp_path, metadata=metadata(3, ("load", "temp"))), FEED)
    windows = np.arange(24.0).reshape(4, 3, 2) ** 2
    np.testing.assert_array_equal(turned.forecast(windows, 2), models["1"].forecast(windows, 2))


def test_series_are_not_scored_on_executors(tmp_path: Path) -> None:
    flags = {"streaming.mode": "executors", "landing": str(tmp_path / "landing")}
    with pytest.raises(SettingsError, match=r"streaming\.mode is executors and feed sensors is of kind 'series'"):
        open_run(FEED, load_settings(flags=flags))


def test_there_is_no_udf_of_a_series_feed() -> None:
    no_session: Any = None
    with pytest.raises(FeedError, match="a UDF sees one row"):
        predict_udf(no_session, FEED)


# --- observations


def test_forecasts_begin_with_the_first_full_window(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(4))), models["1"])
    rows = driver.table("forecasts")
    assert list(rows.step) == [0, 0, 1, 2, 3, 1, 2, 3]
    assert list(rows.observation) == [1, 2, 3, 3, 3, 4, 4, 4]
    assert list(rows.temp_forecast[2:5]) == [8 + 1, 8 + 2, 8 + 3]  # 1·0 + 2·1 + 3·2, and the drift
    assert list(rows.temp_upper[2:5] - rows.temp_lower[2:5]) == [2, 2, 2]
    assert set(rows.columns) == set(forecasts_schema(FEED).names)
    assert_exactly_once(driver)


def test_series_do_not_mix(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    rows = [line(sensor, minute, minute * factor) for minute in range(8) for sensor, factor in (("a", 1), ("b", 100))]
    driver.run(driver.land("".join(rows[:7])), models["1"])
    driver.run(driver.land("".join(rows[7:])), models["1"])
    assert_exactly_once(driver)


def test_files_go_in_their_order_whatever_their_headers(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    files = []
    for minute in range(0, 12, 2):
        if minute % 4:
            files += driver.land(line("a", minute, 1), line("a", minute + 1, 2))
        else:  # another order of columns: parsed apart
            files += driver.land(f"2,3,2026-01-01T00:{minute:02}:00Z,a\n", header="temp,load,at,sensor\n")
    driver.run(files, models["1"])
    assert not len(driver.table("quarantine"))
    assert_exactly_once(driver)


def test_late_and_duplicate_observations_are_refused(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in (1, 3, 5, 7))), models["1"])
    driver.run(
        driver.land(line("a", 4, 9) + line("a", 5, 9) + line("a", 7, 9) + line("a", 1, 9) + line("a", 8, 8)),
        models["1"],
    )
    rejects = driver.table("quarantine").set_index("source_line")
    assert list(rejects.reason.sort_index()) == ["late", "duplicate_time", "duplicate_time", "late"]
    assert set(rejects["column"]) == {"at"}
    assert rejects.detail[2] == "found 2026-01-01T00:04:00+00:00, wanted a time after 2026-01-01T00:07:00+00:00"
    assert rejects.raw[2] + "\n" == line("a", 4, 9) and rejects.header[2] + "\n" == HEADER
    assert_exactly_once(driver)


def test_a_time_far_ahead_is_refused_and_the_series_goes_on(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    ahead = line("a", 2, 9).replace("2026", "2062")
    driver.run(driver.land(line("a", 1, 1) + ahead, line("a", 3, 3)), models["1"])
    assert list(driver.table("quarantine").reason) == ["out_of_range"]
    assert sorted(driver.table("forecasts").temp) == [1, 3]


def test_late_observations_are_kept_where_the_feed_says_so(driver_of: Drivers, models: Models) -> None:
    driver = driver_of(feed_of(late="keep"))
    driver.run(driver.land("".join(line("a", minute, minute) for minute in (1, 3, 7, 9))), models["1"])
    driver.run(driver.land(line("a", 8, 100), line("a", 10, 10), line("a", 2, 50)), models["1"])
    rows = driver.table("forecasts")
    assert list(rows[rows.temp == 100].step) == [0]
    assert rows[rows.temp == 10].temp_forecast.iloc[0] == 1 * 100 + 2 * 9 + 3 * 10 + 1
    assert_exactly_once(driver)


def test_a_replaced_observation_is_forecast_again(driver_of: Drivers, models: Models) -> None:
    driver = driver_of(feed_of(duplicate="replace"))
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(4))), models["1"])
    driver.run(driver.land(line("a", 3, 30), line("a", 2, 20), line("a", 3, 31), line("a", 4, 40)), models["1"])
    rows = driver.table("forecasts")
    assert list(rows[rows.temp == 20].step) == [0]
    assert rows[rows.temp == 31].temp_forecast.iloc[0] == 1 * 1 + 2 * 20 + 3 * 31 + 1
    assert_exactly_once(driver)
    # and from the table: of two rows of a time the one accepted last
    history = read_history(driver.tables.predictions, driver.feed, 3)
    assert list(history.windows[("a",)].values[:, 0]) == [20, 31, 40]


def test_what_the_model_fails_on_stays_an_observation(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    temps = [1, 2, 3, 666, 5, 6, 7, 1e10, 9, 10, 11]
    driver.run(driver.land("".join(line("a", minute, temp) for minute, temp in enumerate(temps))), models["1"])
    rows = driver.table("forecasts")
    failed = rows[rows.failure.notna()]
    assert dict(zip(failed.temp, failed.failure, strict=True))[666] == "model_error: ValueError: 666"
    assert {why.partition(":")[0] for why in failed.failure} == {"model_error", "bad_prediction"}
    assert list(failed.step) == [0] * 4 and failed.temp_forecast.isna().all()
    assert rows[rows.temp == 5].temp_forecast.iloc[0] == 1 * 3 + 2 * 666 + 3 * 5 + 1
    assert not len(driver.table("quarantine"))


def test_a_table_that_was_made_before_steps_had_times_gets_the_column_and_goes_on(
    driver_of: Drivers, models: Models
) -> None:
    before = driver_of()
    before.run(before.land("".join(line("a", minute, minute) for minute in range(4))), models["1"])
    old = before.tables.predictions.dataset().to_table().drop_columns("forecast_time")
    write_deltalake(before.tables.uri("forecasts"), old, mode="overwrite", schema_mode="overwrite")
    again = driver_of(done=before.done)
    again.run(again.land(line("a", 4, 4)), models["1"])
    rows = again.table("forecasts")
    assert list(rows.columns)[-1] == "forecast_time" and rows["forecast_time"].isna().all()
    assert_exactly_once(again)


# --- the history


def test_a_restart_goes_on_with_the_last_observations(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    for minute in range(6):
        driver.run(driver.land(line("a", minute, minute) + line("b", minute, -minute)), models["1"])
    again = driver_of(done=driver.done)
    again.run(again.land(line("a", 6, 6), line("b", 6, -6)), models["1"])
    assert_exactly_once(again)


def test_the_history_is_the_same_out_of_a_compacted_table(driver_of: Drivers, models: Models) -> None:
    driver = driver_of(feed_of(late="keep", duplicate="replace"))
    for minute in (1, 2, 5, 4, 5, 3, 7, 2):
        driver.run(driver.land(line("a", minute, minute + len(list(driver.landing.iterdir())))), models["1"])
    before = read_history(driver.tables.predictions, driver.feed, 3)
    driver.tables.predictions.handle().optimize.compact()
    after = read_history(driver.tables.predictions, driver.feed, 3)
    assert after.last == before.last == 8
    np.testing.assert_array_equal(after.windows[("a",)].values, before.windows[("a",)].values)
    driver.run(driver.land(line("a", 8, 8)), models["1"])
    assert_exactly_once(driver)


def test_compaction_in_between_reads_no_history_again(
    driver_of: Drivers, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = driver_of(feed_of(late="keep", duplicate="replace"))
    for minute in range(5):
        driver.run(driver.land(line("a", minute, minute), line("b", minute, -minute)), models["1"])
    reads, compacted = list[int](), list[int]()

    def counted(log: DeltaLog, feed: Feed, window_rows: int) -> History:
        reads.append(log.version)
        return read_history(log, feed, window_rows)

    monkeypatch.setattr(to_parts, "read_history", counted)
    for minute in range(5, 20):
        beside = driver.tables.reopen().predictions
        if minute % 5 == 0:  # before the batch
            compacted.append(compact(beside, 2**26, Budget()))
        files = driver.land(line("a", minute, minute), line("b", minute - 5 * (minute % 2), -minute))
        parts, batch = driver.score(files, models["1"])
        if minute % 5 == 4:  # between its scoring and its commit
            compacted.append(compact(beside, 2**26, Budget()))
        driver.forecasts.committed(driver.put(parts, batch))
    assert reads == [] and compacted[0] and compacted[1]
    assert_exactly_once(driver)


def test_a_batch_that_was_not_committed_changes_nothing(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(3))), models["1"])
    files = driver.land(line("a", 3, 3), line("a", 4, 4))
    driver.score(files, models["1"])
    driver.run(files, models["1"])
    assert not len(driver.table("quarantine"))
    assert_exactly_once(driver)


def test_a_batch_that_was_in_is_taken_from_the_table(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(3))), models["1"])
    driver.put(*driver.score(driver.land(line("a", 3, 3)), models["1"]))  # and nobody says so: the answer got lost
    driver.run(driver.land(line("a", 4, 4)), models["1"])
    assert_exactly_once(driver)


def test_commits_of_others_make_the_history_be_read_again(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(3))), models["1"])
    other = driver_of(app_id="other")
    other.run(other.land(line("a", 3, 3)), models["1"])
    driver.run(driver.land(line("a", 4, 4)), models["1"])
    assert_exactly_once(driver)


def test_a_version_with_another_window_finds_what_it_needs(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    for minute in range(12):
        driver.run(driver.land(line("a", minute, minute)), models["123"[minute % 3]])
    rows = driver.table("forecasts")
    assert set(rows[rows.step == 1].model_version) == {"1", "2", "3"}
    assert_exactly_once(driver)


def test_a_feed_that_got_another_measure_begins_its_windows_anew(
    driver_of: Drivers, models: Models, tmp_path: Path
) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in range(3))), models["1"])
    raw = FEED.model_dump(mode="json", exclude_unset=True)
    wider = Feed.model_validate(raw | {"columns": [*raw["columns"], {"name": "wind", "type": "double"}]})
    model = load(save_model(tmp_path, metadata=metadata(3, ("temp", "load", "wind"))), wider)
    driver = driver_of(wider, done=driver.done)
    driver.run(driver.land("a,2026-01-01T01:00:00Z,1,2,3\n", header="sensor,at,temp,load,wind\n"), model)
    rows = driver.table("forecasts").sort_values(["observation", "step"])
    assert list(rows.step) == [0, 0, 1, 2, 3, 0]


def test_a_commit_counts_observations(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    rows = "".join(line("a", minute, minute) for minute in range(5)) + line("a", 0, 0) + "a,never,1,2\n"
    parts, batch = driver.score(driver.land(rows), models["1"])
    done = driver.put(parts, batch)
    assert (done.rows, done.rejects) == (5, 2)
    assert [(c.predictions, c.rejects) for c in parts.counts.values()] == [(5, 2)]
    assert len(driver.table("forecasts")) == 2 + 3 * 3


def test_a_file_found_bad_in_its_middle_leaves_no_observation(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    wide = "".join(line("a", minute, 1.5).replace("1.5", "1." + "0" * 12_000) for minute in range(900))
    path = driver.landing / "00000.csv.gz"
    path.write_bytes(gzip.compress((HEADER + wide).encode(), 1)[:-20])
    file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
    driver.run([file, *driver.land(*(line("a", minute, minute) for minute in range(3)))], models["1"])
    assert list(driver.table("quarantine").reason) == ["unreadable"]
    assert list(driver.table("forecasts").step) == [0, 0, 1, 2, 3]


def test_the_commands_read_forecasts_and_late_rows_are_replayed(driver_of: Drivers, models: Models) -> None:
    driver = driver_of()
    driver.run(driver.land("".join(line("a", minute, minute) for minute in (1, 2, 4, 5, 3, 5))), models["1"])
    places = {"landing": str(driver.landing), "tables.path": driver.tables.path}
    stored = load_settings(flags=places | {"checkpoint": str(driver.root / "checkpoint")})
    status = read_status(FEED, stored)
    assert (status.rows, status.rejects, status.batches) == (4, 2, 1)
    assert status.rejects_by_reason == {"duplicate_time": 1, "late": 1}
    assert "forecasts v1" in check_tables(FEED, StreamPaths.of(FEED, stored)).found
    replay_rows(FEED, stored, Selection(("late",)))
    (path,) = driver.landing.glob("replay-*.csv")
    again = driver_of(feed_of(late="keep"), done=driver.done)
    again.run([LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)], models["1"])
    replayed = again.table("forecasts").query(f"source_file == '{path.name}'")
    assert list(replayed.step) == [0] and list(replayed["at"].dt.minute) == [3]


# --- any cut


def _forecast(
    texts: Sequence[str], feed: Feed, model: SeriesModel, folder: Path, chunk_rows: int = 65_536
) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    """Texts as micro-batches one after the other: the rows of forecasts, and what is refused, without their places."""
    history = History(model.window_rows, {})
    rows: list[Any] = []
    rejects: list[Any] = []
    for text in texts:
        path = folder / "cut.csv"
        path.write_text(HEADER + text)
        file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        for chunk, _ in read_chunks([file], feed, ReadOptions(folder.as_uri(), chunk_rows, in_order=True)):
            done = forecast(chunk, feed, model, history)
            history = done.history
            rows.append(done.scored.predictions.drop_columns(["source_file", "source_line", "landed_at"]))
            rejects += zip(*done.scored.rejects.select(["raw", "reason", "detail"]).to_pydict().values(), strict=True)
    return pa.concat_tables(rows).to_pandas(), sorted(rejects)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    observed=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.sampled_from([1.0, 2.0, 3.0, 5.0, 666.0, 1e10])),
        min_size=1,
        max_size=40,
    ),
    cuts=st.sets(st.integers(1, 39)),
    late=st.sampled_from(["refuse", "keep"]),
    duplicate=st.sampled_from(["refuse", "replace"]),
    version=st.sampled_from(["1", "3"]),
)
def test_any_way_of_cutting_gives_the_same(
    observed: list[Any],
    cuts: set[int],
    late: str,
    duplicate: str,
    version: str,
    models: Models,
    tmp_path: Path,
) -> None:
    feed, lines = feed_of(late, duplicate), [line(*one) for one in observed]
    edges = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    parts = ["".join(lines[a:b]) for a, b in pairwise(edges)]
    whole, refused = _forecast(["".join(lines)], feed, models[version], tmp_path)
    cut, also_refused = _forecast(parts, feed, models[version], tmp_path)
    pd.testing.assert_frame_equal(whole, cut, check_exact=True)
    assert refused == also_refused
    assert whole.observation.nunique() + len(refused) == len(lines)


def test_a_thousand_observations_in_one_file_are_as_one_file_each(models: Models, tmp_path: Path) -> None:
    lines = [line("ab"[n % 2], n, float(n * n % 97), n / 7) for n in range(1000)]
    whole, _ = _forecast(["".join(lines)], FEED, models["1"], tmp_path)
    single, _ = _forecast(lines, FEED, models["1"], tmp_path)
    pd.testing.assert_frame_equal(whole, single, check_exact=True)
    chunked, _ = _forecast(["".join(lines)], FEED, models["1"], tmp_path, chunk_rows=7)
    pd.testing.assert_frame_equal(whole, chunked, check_exact=True)
