"""Rows of many models in one micro-batch: each by the model of its key, all in their order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import RegistryError
from schemas.feed import Feed
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.models.row_model import Model, load_model
from streamscore.reading.options import ReadOptions
from streamscore.registry.model_version import ModelVersion
from streamscore.scoring.routed import MoreTextError, NoModel, Target, routing_keys, score_routed
from streamscore.scoring.to_parts import score_routed_to_parts
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.tables import Tables
from tests.support.routed_kit import feed_of

FEED = feed_of()
ROUTES = {"ann": ("ten",), "bob": ("minus",), "cid": ("ten",), "dan": ("broken",)}


class Models:
    """A router of models that are there; `broken` has none."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.models, self.text_columns = models, frozenset[str]()
        self.asked: list[Target] = []

    def find(self, key: str | None) -> Target | NoModel:
        return NoModel("no key") if key is None else ROUTES.get(key, NoModel("no route"))

    def ready(self, targets: Iterable[Target]) -> Iterator[tuple[Target, Model | NoModel]]:
        for target in reversed(list(targets)):  # whatever order loads take
            self.asked.append(target)
            yield target, self.models.get(target[0], NoModel("it does not load"))


@pytest.fixture
def models(save_model: Callable[..., Path]) -> Models:
    def load(name: str, body: str, **more: Any) -> Model:
        return load_model(save_model(body, np.array([1.0]), **more), FEED, ModelVersion(name, "1", f"run-{name}"))

    raises = "if (model_input['a'] == 666).any(): raise ValueError('666')\n"
    sums = {"ten": "10 * model_input['a']", "minus": "-model_input['a']"}
    return Models({name: load(name, f"{raises}return ({what}).to_numpy()") for name, what in sums.items()})


@pytest.fixture
def landed(tmp_path: Path) -> Callable[[str], list[LandedFile]]:
    def land(text: str) -> list[LandedFile]:
        path = tmp_path / "in.csv"
        path.write_text("customer,a,b\n" + text)
        status = path.stat()
        return [LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)]

    return land


def scored_of(
    files: list[LandedFile], models: Models, tmp_path: Path, feed: Feed = FEED, rows: int = 1000
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    chunks = list(score_routed(files, feed, models, ReadOptions(tmp_path.as_uri(), rows)))
    some = [chunk.predictions for chunk in chunks if chunk.predictions.num_rows]
    rejects = pa.concat_tables((chunk.rejects for chunk in chunks), promote_options="default").to_pylist()
    return pa.concat_tables(some).to_pylist() if some else [], rejects


@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_each_row_has_the_prediction_of_its_model_and_its_place(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path, chunk_rows: int
) -> None:
    text = "ann,1,0\nbob,2,0\ndan,3,0\nann,x,0\n,4,0\ncid,5,0\nzoe,6,0\nbob,666,0\nbob,7,0\n"
    predictions, rejects = scored_of(landed(text), models, tmp_path, rows=chunk_rows)
    found = [(row["source_line"], row["prediction"], row["model_name"], row["model_run_id"]) for row in predictions]
    assert found == [
        (2, 10, "ten", "run-ten"),
        (3, -2, "minus", "run-minus"),
        (7, 50, "ten", "run-ten"),
        (10, -7, "minus", "run-minus"),
    ]
    said = [(r["source_line"], r["reason"], r["column"], r["detail"], r.get("model_version")) for r in rejects]
    assert sorted(said) == [
        (4, "no_model", "customer", "found 'dan', it does not load", None),
        (5, "bad_type", "a", "found 'x', wanted double", None),
        (6, "no_model", "customer", "found no value, no key", None),
        (8, "no_model", "customer", "found 'zoe', no route", None),
        (9, "model_error", None, "ValueError: 666", "1"),
    ]


def test_a_chunk_of_one_model_is_predicted_in_one_piece(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path
) -> None:
    predictions, rejects = scored_of(landed("ann,1,0\ncid,2,0\n"), models, tmp_path)
    assert [row["prediction"] for row in predictions] == [10, 20] and not rejects
    assert models.asked == [("ten",)]


def test_whole_numbers_are_keys_as_they_are_written(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [{"name": "customer", "type": "long", "role": "key", "nullable": True}]
    columns += [{"name": name, "type": "double"} for name in "ab"]
    monkeypatch.setitem(ROUTES, "1001", ("ten",))
    files = landed("1001,1,0\n01001,2,0\n7,3,0\n,4,0\n")
    feed = feed_of(columns=columns)
    predictions, rejects = scored_of(files, models, tmp_path, feed)
    assert [row["prediction"] for row in predictions] == [10, 20]
    assert [r["detail"] for r in rejects] == ["found 7, no route", "found no value, no key"]
    assert routing_keys(files, feed, ReadOptions(tmp_path.as_uri())) == {"1001", "7", None}


def test_a_model_that_wants_text_has_the_files_read_again(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path, save_model: Callable[..., Path]
) -> None:
    body = "return model_input['a'].str.len().astype(float).to_numpy()"
    path = save_model(body, np.array([1.0]), inputs=pd.DataFrame({"a": ["1.0"], "b": [1.0]}))
    models.models["minus"] = load_model(path, FEED, ModelVersion("text", "1", "run"))
    files = landed("ann,1,0\nbob,2.000,0\n")
    with pytest.raises(MoreTextError):
        scored_of(files, models, tmp_path)
    assert models.text_columns == {"a"}
    predictions, _ = scored_of(files, models, tmp_path)
    assert [row["prediction"] for row in predictions] == [10, 5]


def test_parts_have_the_version_of_each_row_and_the_batch_has_none(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path
) -> None:
    files = landed("ann,1,0\nbob,2,0\nzoe,3,0\nbob,666,0\n")
    tables = Tables(tmp_path / "tables", FEED, TablesSettings())
    tables.create(pa.float64())
    batch = Batch("app", 0, BatchManifest(1, tuple(files)), None)
    work = ScoringTask(FEED, batch, tables.folders, tmp_path.as_uri(), 1000, Storage())
    parts = score_routed_to_parts(files, work, models)
    (written,) = parts.predictions
    table = pq.read_table(f"{tables.folders[0]}/{written.path}")
    assert table.select(["model_name", "model_version", "batch_id"]).to_pylist() == [
        {"model_name": "ten", "model_version": "1", "batch_id": 0},
        {"model_name": "minus", "model_version": "1", "batch_id": 0},
    ]
    assert parts.reasons == {"no_model": 1, "model_error": 1}


def test_a_model_that_is_away_costs_no_row(
    models: Models, landed: Callable[[str], list[LandedFile]], tmp_path: Path
) -> None:
    def away(targets: Iterable[Target]) -> Iterator[tuple[Target, Model | NoModel]]:
        msg = "no answer"
        raise RegistryError(msg)
        yield

    models.ready = away  # type: ignore[method-assign]
    tables = Tables(tmp_path / "tables", FEED, TablesSettings())
    tables.create(pa.float64())
    files = landed("ann,1,0\nzoe,2,0\n")
    batch = Batch("app", 0, BatchManifest(1, tuple(files)), None)
    work = ScoringTask(FEED, batch, tables.folders, tmp_path.as_uri(), 1000, Storage())
    with pytest.raises(RegistryError):
        score_routed_to_parts(files, replace(work, chunk_rows=1), models)
    assert [path for folder in tables.folders for path in Path(folder).glob("part-*")] == []
