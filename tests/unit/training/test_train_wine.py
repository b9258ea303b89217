import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.errors import FeedError, SettingsError, StorageError
from schemas.feed import Feed, load_feed
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from tests.support.register_kit import a_version
from tests.support.wine import WINE, needs_wine
from training.data.fetch import DATA_SETS, DataSet, fetch
from training.data.sample import sample
from training.data.split import held_out_rows
from training.data.training_data import read_data, training_data
from training.fitting.fit import fit
from training.settings import Estimator

pytestmark = pytest.mark.trains

COLUMNS = [
    {"name": "size", "type": "double", "min": 0},
    {"name": "rooms", "type": "int", "nullable": True},
    {"name": "kind", "type": "string", "allowed": ["flat", "house"]},
    {"name": "lift", "type": "boolean"},
    {"name": "id", "type": "string", "role": "key"},
    {"name": "price", "type": "double", "role": "target"},
]


@pytest.fixture
def homes() -> Feed:
    return Feed.model_validate({"name": "homes", "csv": {"header": "ignore_case"}, "columns": COLUMNS})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    uri = new_database(tmp_path_factory.mktemp("training"))
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


def read(feed: Feed, folder: Path, text: str) -> Any:
    path = folder / "data.csv"
    path.write_bytes(text.encode())
    return read_data(feed, path)


def test_columns_are_read_by_name_whatever_their_order_and_case(homes: Feed, tmp_path: Path) -> None:
    data = read(homes, tmp_path, "PRICE,lift,Kind,extra,rooms,size\n7,true,flat,x,,1.5\n8,false,house,y,3,2.5\n")
    assert list(data.features) == ["size", "rooms", "kind", "lift"]
    assert data.target.tolist() == [7.0, 8.0]
    assert data.features["size"].tolist() == [1.5, 2.5]
    assert np.isnan(data.features["rooms"][0])
    assert data.digest == hashlib.sha256((tmp_path / "data.csv").read_bytes()).hexdigest()


def test_text_stays_as_it_stands_in_the_file(tmp_path: Path) -> None:
    feed = load_feed("wine_quality_text")
    made = sample(feed, rows=3, files=1, out=tmp_path)
    first = made.paths[0].read_text().splitlines()[1].split(",")
    assert read_data(feed, made.paths[0]).features.iloc[0].tolist() == first[:-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("size,rooms,kind,lift,price\n", "a header and no rows"),
        ("size,rooms,kind,lift\n1,2,flat,true\n", "lacks the target 'price'"),
        ("rooms,kind,lift,price\n2,flat,true,7\n", "lacks columns 'size'"),
        ("size,size,rooms,kind,lift,price\n1,1,2,flat,true,7\n", "'size' more than once"),
        ("size,rooms,kind,lift,price\nabc,2,flat,true,7\n", "found 'abc', wanted double"),
        ("size,rooms,kind,lift,price\n1,2,flat,true\n", "does not hold what feed homes declares"),
        ("size,rooms,kind,lift,price\n1,2,flat,true,7\n", "has 1 rows; training wants at least 10"),
    ],
)
def test_data_that_will_not_do_is_refused_before_any_fitting(
    homes: Feed, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(FeedError, match=message) as caught:
        training_data(homes, tmp_path / "data.csv")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(homes: Feed, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no file .*nope\.csv"):
        read_data(homes, tmp_path / "nope.csv")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"name": "price", "type": "double"}, "has no target"),
        ({"name": "price", "type": "string", "role": "target"}, "'price' is string, wanted a number"),
    ],
)
def test_a_feed_without_a_number_to_predict_is_refused(column: dict[str, str], message: str) -> None:
    feed = Feed.model_validate({"name": "homes", "columns": [*COLUMNS[:-1], column]})
    with pytest.raises(FeedError, match=message):
        training_data(feed, None)


def test_every_row_is_fitted_or_held_out_and_the_seed_decides() -> None:
    rows = held_out_rows(100, 0.2, seed=3)
    assert len(set(rows.tolist())) == 20
    assert rows.tolist() == held_out_rows(100, 0.2, seed=3).tolist() != held_out_rows(100, 0.2, seed=4).tolist()


def test_words_nulls_and_booleans_become_numbers_inside_the_model(homes: Feed, tmp_path: Path) -> None:
    made = sample(homes, rows=200, files=1, out=tmp_path)
    data = read_data(homes, made.paths[0])
    model = fit(homes, data.features, data.target, Estimator(), seed=0)
    odd = pd.DataFrame({"size": [1.0], "rooms": [np.nan], "kind": ["castle"], "lift": [True]})
    assert np.isfinite(model.predict(odd)).all()


def test_a_time_is_no_feature_for_an_elastic_net(homes: Feed) -> None:
    feed = Feed.model_validate({"name": "homes", "columns": [*COLUMNS, {"name": "built", "type": "date"}]})
    with pytest.raises(FeedError, match="'built' is a time"):
        fit(feed, pd.DataFrame(), pd.Series(), Estimator(), seed=0)


IN_ANOTHER_PROCESS = """
import sys, json, pandas as pd, mlflow.pyfunc
for folder in sys.argv[1:]:
    predicted = mlflow.pyfunc.load_model(folder).predict(pd.read_pickle(folder + "/features.pkl"))
    print(json.dumps(predicted.tolist()))
assert not any(name.split(".")[0] in ("schemas", "training", "jobs") for name in sys.modules)
"""


def test_registered_models_give_the_same_numbers_in_a_process_without_our_code(
    homes: Feed, registry: Registry, tmp_path: Path
) -> None:
    import mlflow.pyfunc

    folders, here = [], []
    for feed in (load_feed("wine_quality"), load_feed("wine_quality_text"), homes):
        made = sample(feed, rows=300, files=1, out=tmp_path / feed.name, seed=5)
        a_version(feed, registry, promote=True, path=made.paths[0])
        path = registry.download(registry.resolve(feed.model_uri), tmp_path)
        features = read_data(feed, made.paths[0]).features
        features.to_pickle(path / "features.pkl")
        predicted = mlflow.pyfunc.load_model(str(path)).predict(features)
        assert predicted.dtype == np.float64
        folders.append(str(path))
        here.append(predicted.tolist())
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == here


def test_a_text_model_refuses_what_is_no_number(registry: Registry, tmp_path: Path) -> None:
    import mlflow.pyfunc

    feed = load_feed("wine_quality_text")
    a_version(feed, registry, promote=True)
    model = mlflow.pyfunc.load_model(str(registry.download(registry.resolve(feed.model_uri), tmp_path)))
    row = pd.DataFrame({column.name: ["1"] for column in feed.features})
    assert np.isfinite(model.predict(row)).all()
    with pytest.raises(Exception, match="could not convert string to float: 'n/a'"):
        model.predict(row.assign(pH="n/a"))


def test_the_fetched_data_set_comes_before_the_sample(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = load_feed("wine_quality")
    made = sample(feed, rows=50, files=1, out=tmp_path, seed=9)
    (tmp_path / "var" / "data").mkdir(parents=True)
    made.paths[0].rename(tmp_path / "var" / "data" / "wine_quality.csv")
    data = training_data(feed, None)
    assert (data.rows, data.source) == (50, str(tmp_path / "var" / "data" / "wine_quality.csv"))


@needs_wine
def test_the_data_set_comes_with_semicolons_or_commas_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    original = tmp_path / "winequality-white.csv"
    original.write_bytes(WINE.read_bytes().replace(b",", b";"))
    kept = fetch("wine_quality", original)
    assert kept == tmp_path / "var" / "data" / "wine_quality.csv"
    assert kept.read_bytes() == WINE.read_bytes()
    original.unlink()
    assert fetch("wine_quality", original) == kept
    assert fetch("wine_quality_text", kept.as_uri()).read_bytes() == WINE.read_bytes()


def test_a_wrong_data_set_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StorageError, match=r"its md5 is .* wanted 5d6f24258e3c50bb01a61194b5401f5d; nothing was kept"):
        fetch("wine_quality", tmp_path / "wrong.csv")
    assert not (tmp_path / "var").exists()


def test_without_a_network_it_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATA_SETS, "wine_quality", DataSet("http://127.0.0.1:9/x.csv", "0" * 32))
    with pytest.raises(
        StorageError, match=r"put the file at .*wine_quality\.csv .*streamscore sample wine_quality"
    ) as e:
        fetch("wine_quality")
    assert "\n" not in str(e.value)


def test_an_unknown_data_set_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'wine_quality'"):
        fetch("wine_qualty")
