import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import SettingsError, StorageError
from schemas.feed import Feed, load_feed
from training.data.corrupt import corrupt, kinds
from training.data.generate import generated_chunks
from training.data.sample import sample
from training.data.training_data import read_data

GENERAL = Feed.model_validate(
    {
        "name": "general",
        "csv": {"delimiter": ";", "encoding": "latin-1"},
        "columns": [
            {"name": "id", "type": "string", "role": "key"},
            {"name": "größe", "type": "double", "min": 0, "max": 0.003},
            {"name": "n", "type": "long", "max": -5},
            {"name": "f", "type": "float"},
            {"name": "word", "type": "string"},
            {"name": "side", "type": "string", "allowed": ["left", "right"]},
            {"name": "ok", "type": "boolean", "nullable": True},
            {"name": "day", "type": "date", "role": "carry"},
            {"name": "at", "type": "timestamp", "role": "time"},
            {"name": "y", "type": "int", "role": "target", "min": 1, "max": 9},
        ],
    }
)

WORDS = {"true_values": ["ja"], "false_values": ["nein"]}
OF_OTHERS = Feed.model_validate(
    {
        "name": "of_others",
        "csv": {"delimiter": ";", "decimal": ",", "thousands": ".", "comment": "#", "skip_lines": 2, **WORDS},
        "columns": [
            {"name": "#a\\", "type": "double", "min": -1},
            {"name": "ok", "type": "boolean"},
            {"name": "dt", "type": "date", "role": "carry", "source": "folder"},
            {"name": "day", "type": "date", "role": "carry", "format": "%d.%m.%Y"},
            {"name": "at", "type": "timestamp", "role": "time", "format": "%d.%m.%y %H:%M"},
            {"name": "local", "type": "timestamp", "role": "carry", "zone": "Europe/Berlin"},
            {"name": "y", "type": "int", "role": "target", "min": 1, "max": 9},
        ],
    }
)


def lines(paths: Sequence[Path]) -> list[Any]:
    return [line for path in paths for line in path.read_bytes().splitlines()[1:]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 300), files=st.integers(1, 7), bad=st.floats(0, 1), seed=st.integers(0, 99))
def test_equal_arguments_give_equal_bytes_and_all_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, files: Any, bad: Any, seed: Any
) -> None:
    first, second = (
        sample(load_feed("wine_quality"), rows, files, tmp_path_factory.mktemp("s"), bad, seed) for _ in range(2)
    )
    assert [p.name for p in first.paths] == [f"sample-{seed}-{n + 1:05}.csv" for n in range(files)]
    assert [p.read_bytes() for p in first.paths] == [p.read_bytes() for p in second.paths]
    assert len(lines(first.paths)) == first.rows == rows
    assert first.bad_rows == round(rows * bad)


def test_the_rows_do_not_depend_on_the_files_they_are_in(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    one, many = sample(feed, 100, 1, tmp_path / "one"), sample(feed, 100, 7, tmp_path / "many")
    assert lines(one.paths) == lines(many.paths)


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    assert lines(sample(feed, 9, 1, tmp_path, seed=1).paths) != lines(sample(feed, 9, 1, tmp_path, seed=2).paths)


@pytest.mark.parametrize(
    "feed", [load_feed("wine_quality"), load_feed("wine_quality_text"), GENERAL, OF_OTHERS], ids=lambda f: f.name
)
def test_good_rows_are_rows_that_the_feed_accepts(feed: Any, tmp_path: Path) -> None:
    made = sample(feed, rows=2000, files=1, out=tmp_path)
    data = read_data(feed, made.paths[0])
    assert data.rows == 2000
    assert data.target.nunique() > 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wine_quality", "text_in_number missing_field extra_field empty_value out_of_range nan bad_encoding"),
        ("wine_quality_text", "text_in_number missing_field extra_field empty_value nan bad_encoding"),
    ],
)
def test_spoiled_rows_take_each_kind_in_turn(name: str, expected: str, tmp_path: Path) -> None:
    feed = load_feed(name)
    ways = kinds(feed)
    assert [way.name for way in ways] == expected.split()
    good = lines(sample(feed, len(ways), 1, tmp_path / "good").paths)
    bad = lines(sample(feed, len(ways), 1, tmp_path / "bad", bad=1.0).paths)
    assert bad == [corrupt(line, b",", ways, number) for number, line in enumerate(good)]
    assert all(b != g for b, g in zip(bad, good, strict=True))


def test_only_the_chosen_rows_are_spoiled(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    good = lines(sample(feed, 1000, 3, tmp_path / "good").paths)
    bad = lines(sample(feed, 1000, 3, tmp_path / "bad", bad=0.05).paths)
    assert sum(b != g for b, g in zip(bad, good, strict=True)) == 50


def test_a_feeds_dialect_is_kept(tmp_path: Path) -> None:
    made = sample(GENERAL, rows=5, files=1, out=tmp_path)
    rows = list(csv.reader(io.StringIO(made.paths[0].read_bytes().decode("latin-1")), delimiter=";"))
    assert rows[0] == [column.name for column in GENERAL.columns]
    assert {len(row) for row in rows} == {len(GENERAL.columns)}


def test_a_chunk_boundary_loses_no_row() -> None:
    assert [t.num_rows for t in generated_chunks(load_feed("wine_quality"), 65_537, 0)] == [65_536, 1]


def test_no_hidden_file_stays_and_the_same_sample_again_touches_nothing(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    first = sample(feed, 10, 2, tmp_path)
    times = [path.stat().st_mtime_ns for path in first.paths]
    assert sample(feed, 10, 2, tmp_path) == first
    assert [path.stat().st_mtime_ns for path in first.paths] == times
    assert sorted(tmp_path.iterdir()) == sorted(first.paths)


def test_a_file_with_other_content_is_never_overwritten(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    before = sample(feed, 10, 1, tmp_path).paths[0].read_bytes()
    with pytest.raises(StorageError, match="is there with other content; give another --seed or --out"):
        sample(feed, 11, 1, tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("arguments", [(-1, 1, 0.0), (1, 0, 0.0), (1, 1, 1.5), (1, 1, -0.1)])
def test_senseless_numbers_are_refused(arguments: tuple[Any, ...], tmp_path: Path) -> None:
    rows, files, bad = arguments
    with pytest.raises(SettingsError, match="wanted rows >= 0, files >= 1, bad from 0 to 1"):
        sample(load_feed("wine_quality"), rows, files, tmp_path, bad)
