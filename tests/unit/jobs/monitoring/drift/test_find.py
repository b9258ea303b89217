"""`drift` over real Delta tables, without a stream: rows are appended as a stream's commits leave them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console

from jobs.monitoring.drift.find import Asked, DriftFound, assert_no_alarm, find_drift
from jobs.monitoring.drift.report import report_page
from jobs.monitoring.drift.show import show_drift
from jobs.monitoring.drift.window import WindowLength
from schemas.columns import Column
from schemas.errors import ContractError, RegistryError, SettingsError, StorageError
from schemas.feed import Feed
from schemas.settings import Settings, load_settings
from schemas.tables import QUARANTINE_SCHEMA, predictions_schema
from streamscore.statistics.sketches import ColumnSketch, ModelStatistics, sketch
from streamscore.tables.read_table import read_table
from tests.support.present import present

EVIL = "<img src=x onerror=alert(1)>"
FEED = Feed(
    name="shop",
    columns=(
        Column(name="size", type="double"),
        Column(name="shop", type="string", nullable=True),
        Column(name="price", type="double", role="target"),
    ),
    model="models:/shop@production",
)
BEGIN = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)


class Runs:
    """The registry's one method that is asked: the text of a run's artifact."""

    def __init__(self, **texts: str | None) -> None:
        self._texts = texts

    def run_file(self, run_id: str, name: str) -> str | None:
        assert name == "statistics.json"
        return self._texts.get(run_id)


def rows(n: int, seed: int, move: float = 0.0, shops: Sequence[str] = ("a", "b", "c")) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    size = random.normal(move, size=n)
    return {"size": size, "shop": random.choice(list(shops), n), "prediction": 3 * size + 1}


def statistics(of: dict[str, Any]) -> str:
    made: list[ColumnSketch] = [present(sketch(name, pa.array(values))) for name, values in of.items()]
    return ModelStatistics(tuple(made[:2]), tuple(made[2:])).to_json()


TRAINED = statistics(rows(4000, 1))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"tables.path": str(tmp_path / "tables" / "{feed}")})


def land(settings: Settings, at: datetime, of: dict[str, Any], version: str = "1", files: int = 6) -> None:
    """One commit: rows of some files, which were predicted at the same time."""
    n = len(of["size"])
    columns = of | {
        "price": [None] * n,
        "model_name": ["shop"] * n,
        "model_version": [version] * n,
        "model_run_id": [f"run{version}"] * n,
        "batch_id": [0] * n,
        "source_file": [f"{at:%H%M%S}-{i % files}.csv" for i in range(n)],
        "source_line": list(range(2, n + 2)),
        "landed_at": [at] * n,
        "predicted_at": [at] * n,
    }
    schema = predictions_schema(FEED, pa.float64())
    table = pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)
    write_deltalake(f"{settings.tables.path.format(feed='shop')}/predictions", table, mode="append")


def land_rejects(settings: Settings, at: datetime, count: int, version: str = "1") -> None:
    row = {"rows": 1, "reason": "bad_type", "model_version": version, "quarantined_at": at}
    table = pa.Table.from_pylist([row] * count, QUARANTINE_SCHEMA)
    write_deltalake(f"{settings.tables.path.format(feed='shop')}/quarantine", table, mode="append")


def hours(settings: Settings, first: int, last: int, **how: Any) -> None:
    version = how.pop("version", "1")
    for hour in range(first, last):
        land(settings, BEGIN + timedelta(hours=hour), rows(300, 100 + hour, **how), version)


def found(settings: Settings, window: str = "1h", **asked: Any) -> DriftFound:
    registry: Any = asked.pop("registry", Runs(run1=TRAINED, run2=TRAINED))
    return find_drift(FEED, settings, registry, Asked(WindowLength.parse(window), **asked))


def states(of: DriftFound) -> list[tuple[str, str]]:
    return [(row["column"], row["check"]) for row in of.alarms]


def test_rows_as_in_training_give_no_alarm_and_both_tables(settings: Settings) -> None:
    hours(settings, 0, 6)
    of = found(settings)
    assert (of.made, states(of), of.notes) == (5, [], ())  # the sixth hour may get more rows
    assert_no_alarm(of)
    profiles = read_table(FEED, "drift_profiles", settings=settings)
    assert sorted(set(profiles["column"].to_pylist())) == ["prediction", "rejected rows", "shop", "size"]
    assert len(profiles) == 5 * 4
    drift = read_table(FEED, "drift", settings=settings)
    assert set(drift["baseline"].to_pylist()) == {"training", "week"}
    assert not any(drift["drifted"].to_pylist())


def test_moved_rows_alarm_after_two_windows_and_name_the_column(settings: Settings) -> None:
    hours(settings, 0, 3)
    hours(settings, 3, 5, move=0.6)
    first = found(settings)
    assert states(first) == [] and "an alarm wants 2 of 3 windows" in told(first)
    hours(settings, 5, 6, move=0.6)
    second = found(settings)
    assert (second.made, set(states(second))) == (1, {("size", "values"), ("prediction", "values")})
    assert {row["cause"] for row in second.alarms} == {"new data"}
    with pytest.raises(ContractError, match=r"feed shop drifted: '(size|prediction)' by values, effect 0\.") as caught:
        assert_no_alarm(second)
    assert caught.value.exit_code == 3
    assert "alarm: " in told(second)


def told(of: DriftFound) -> str:
    console = Console(file=StringIO(), width=200)
    show_drift(of, console, as_json=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_programs_get_the_verdict_and_its_rows_as_json(settings: Settings) -> None:
    hours(settings, 0, 6, move=0.6)
    console = Console(file=StringIO(), width=20)
    show_drift(found(settings), console, as_json=True)
    said = json.loads(console.file.getvalue())  # type: ignore[attr-defined]
    assert (said["feed"], said["window"], said["alarms"], said["notes"]) == ("shop", "1h", 2, [])
    (series,) = said["series"]
    assert series["baseline"] == "training" and series["verdict"].startswith("alarm: ")
    assert [(row["column"], row["alarm"]) for row in series["rows"]][2:] == [("shop", False)]


def test_the_same_run_again_makes_nothing_new_and_says_the_same(settings: Settings) -> None:
    hours(settings, 0, 6, move=0.6)
    first, again = found(settings), found(settings)
    assert (again.made, told(again)) == (0, told(first))
    assert len(read_table(FEED, "drift_profiles", settings=settings)) == 5 * 4


def test_a_new_model_is_told_from_new_data(settings: Settings) -> None:
    hours(settings, 0, 4)
    for hour in (4, 5, 6):
        other = rows(300, 100 + hour)
        land(settings, BEGIN + timedelta(hours=hour), other | {"prediction": other["prediction"] * 3}, "2")
    of = found(settings, baseline="version")
    assert {(row["column"], row["cause"]) for row in of.alarms} == {("prediction", "new model")}
    assert {row["baseline"] for row in of.alarms} == {"version"}


def test_the_last_hour_of_a_version_is_over_when_another_scores(settings: Settings) -> None:
    hours(settings, 0, 3)
    hours(settings, 3, 5, version="2")
    series = [(w.series.model_version, w.start.hour) for w in found(settings).windows]
    assert series == [("1", 6), ("1", 7), ("1", 8), ("2", 9)]


def test_rows_of_a_few_files_wait_for_more_files(settings: Settings) -> None:
    for hour in range(4):
        land(settings, BEGIN + timedelta(hours=hour), rows(400, hour), files=2)
    of = found(settings)
    assert [(w.files, w.rejected.rows) for w in of.windows] == [(6, 1200)]


def test_windows_of_rows_end_with_a_commit(settings: Settings) -> None:
    hours(settings, 0, 8)
    assert [w.rejected.rows for w in found(settings, "1000").windows] == [1200, 1200]
    hours(settings, 8, 12)
    assert [w.rejected.rows for w in found(settings, "1000").windows] == [1200, 1200, 1200]


def test_rejects_are_compared_with_the_week_before(settings: Settings) -> None:
    hours(settings, 0, 6)
    for hour in range(2, 6):
        land_rejects(settings, BEGIN + timedelta(hours=hour, seconds=-1), 60)
    of = found(settings)
    assert states(of) == [("rejected rows", "rejects")]


def test_a_version_without_statistics_is_compared_with_the_week_before(settings: Settings) -> None:
    hours(settings, 0, 4)
    hours(settings, 4, 7, move=0.8)
    of = found(settings, registry=Runs())
    assert "no quantiles with this version" in of.notes[0]
    assert [verdict.baseline for verdict in of.verdicts] == ["week"]
    assert ("size", "values") in states(of)


def test_a_registry_that_does_not_answer_is_said_once_and_asked_again_by_the_next_run(settings: Settings) -> None:
    class Down(Runs):
        def run_file(self, run_id: str, name: str) -> str | None:
            msg = "the registry at sqlite:///x does not answer"
            raise RegistryError(msg)

    hours(settings, 0, 5)
    of = found(settings, registry=Down())
    assert of.notes == ("shop v1 is compared with the week before: the registry at sqlite:///x does not answer",)
    assert [verdict.baseline for verdict in of.verdicts] == ["week"]
    assert [verdict.baseline for verdict in found(settings).verdicts] == ["training"]


def test_damaged_statistics_are_said_once_and_the_rest_goes_on(settings: Settings) -> None:
    hours(settings, 0, 4)
    of = found(settings, registry=Runs(run1="{"))
    assert len(of.notes) == 1 and "statistics.json of shop v1 cannot be read" in of.notes[0]
    assert [verdict.baseline for verdict in of.verdicts] == ["week"]


def test_training_can_be_asked_later_and_what_is_said_is_not_said_again(settings: Settings) -> None:
    hours(settings, 0, 5)
    find_drift(FEED, settings, None, Asked(WindowLength.parse("1h"), baseline="week"))
    first = read_table(FEED, "drift", settings=settings)
    assert set(first["baseline"].to_pylist()) == {"week"}
    assert [verdict.baseline for verdict in found(settings).verdicts] == ["training"]
    later = read_table(FEED, "drift", settings=settings)
    assert later["baseline"].to_pylist().count("week") == len(first)
    assert later["baseline"].to_pylist().count("training") == 4 * 3


def test_slices_have_windows_of_their_own_and_no_training(settings: Settings) -> None:
    hours(settings, 0, 6)
    for hour in (6, 7, 8):
        at, moved = BEGIN + timedelta(hours=hour), rows(900, hour)
        moved["size"] = moved["size"] + np.where(moved["shop"] == "b", 2.0, 0.0)
        land(settings, at, moved)
    of = found(settings, "300", slice_column="shop")
    sliced = {verdict.window.series.slice: verdict for verdict in of.verdicts}
    assert set(sliced) == {"", "shop=a", "shop=b", "shop=c"}
    assert sliced["shop=b"].baseline == "week" and sliced["shop=b"].alarms and not sliced["shop=a"].alarms
    with pytest.raises(SettingsError, match="--slice town: feed shop has no such column, wanted one of size, shop"):
        found(settings, slice_column="town")


def test_what_comes_from_a_csv_is_text_in_the_page_and_the_page_stays_small(settings: Settings) -> None:
    hours(settings, 0, 3)
    hours(settings, 3, 6, shops=["a", EVIL, "=HYPERLINK(1)", *(f"{EVIL}{i}" * 20 for i in range(50))])
    of = found(settings)
    page = report_page(of)
    tags: set[str] = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.add(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "img" not in tags and "script" not in tags and {"svg", "table", "h2"} <= tags
    assert "&lt;img src=x on" in page
    assert len(page.encode()) < 1_000_000
    assert ("shop", "unseen") in states(of)


def test_a_feed_without_rows_or_table_says_so(settings: Settings) -> None:
    with pytest.raises(StorageError, match=r"no table at .*; make it: streamscore run shop"):
        found(settings)
    land(settings, BEGIN, rows(40, 0))
    assert "no window of 1h is closed yet" in told(found(settings))
    series = FEED.model_copy(update={"kind": "series"})
    with pytest.raises(SettingsError, match="is a series, whose observations depend on each other"):
        find_drift(series, settings, None, Asked(WindowLength.parse("1h")))


@pytest.mark.parametrize("since", ["yesterday", "7w", "2026-13-01", "999999999d"])
def test_a_time_that_is_none_is_refused(settings: Settings, since: str) -> None:
    land(settings, BEGIN, rows(40, 0))
    with pytest.raises(SettingsError, match=f"--since {since}: wanted a time"):
        found(settings, since=since)


def test_since_leaves_older_rows_out(settings: Settings) -> None:
    hours(settings, 0, 6)
    assert [w.start.hour for w in found(settings, since="150m").windows] == [9, 10]
    assert [w.start.hour for w in found(settings, since="2026-11-02T08:00").windows] == [8, 9, 10]


@pytest.mark.parametrize("text", ["0", "99", "1w", "-5", "1.5h", "", "h"])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--window {text}: wanted at least 100 rows, or minutes"):
        WindowLength.parse(text)
