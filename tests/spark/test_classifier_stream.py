"""A classifier the whole way: trained, promoted, streamed; labels and probabilities in the predictions table."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from jobs.operations.lineage import trace
from jobs.streaming.prepare import open_run
from jobs.streaming.run import stream_until_stopped
from schemas.feed import Feed, read_feed
from schemas.settings import Settings, load_settings
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from tests.support.oracle import Stream
from training.data.sample import sample
from training.pipeline import TrainResult, train
from training.rows import Source
from training.settings import Check, Estimator, TrainingSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

WINE = Path(__file__).parents[2] / "schemas" / "wine_quality.yaml"
NAME = "wine_class"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a feed of wine whose target is a class, in `schemas/`, where the check's process finds it."""
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "schemas").mkdir()
    *columns, _ = WINE.read_text().replace("wine_quality", NAME).splitlines()
    target = "  - {name: class, type: string, role: target, nullable: true, allowed: [fine, plain]}"
    (folder / "schemas" / f"{NAME}.yaml").write_text("\n".join([*columns, target]) + "\n")
    return folder


@pytest.fixture(scope="module")
def feed(place: Path) -> Feed:
    return read_feed(place / "schemas" / f"{NAME}.yaml")


@pytest.fixture(scope="module")
def rows(place: Path, feed: Feed) -> pd.DataFrame:
    """Generated wine; fine is a quality of 7 and more."""
    (made,) = sample(read_feed(WINE), 1500, 1, place / "made", seed=5).paths
    frame = pd.read_csv(made)
    frame["class"] = np.where(frame.pop("quality") >= 7, "fine", "plain")
    return frame


@pytest.fixture(scope="module")
def settings(place: Path) -> Settings:
    folders = {"landing": "landing", "tables.path": "tables", "checkpoint": "checkpoint"}
    return load_settings(
        flags={key: str(place / name) for key, name in folders.items()}
        | {"registry.tracking_uri": new_database(place), "streaming.trigger": "available-now"}
    )


@pytest.fixture(scope="module")
def registry(settings: Settings) -> Registry:
    return open_registry(settings)


@pytest.fixture(scope="module")
def trained(place: Path, feed: Feed, rows: pd.DataFrame, registry: Registry) -> TrainResult:
    """Version 1, in Production, of the first 1,000 rows."""
    rows.head(1000).to_csv(place / "train.csv", index=False)
    check = Check(predict_ms=60_000)  # whatever else the machine does
    wanted = TrainingSettings(estimator=Estimator(name="logistic_regression"), check=check)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(place)
        return train(feed, Source(place / "train.csv"), registry, wanted, promote=True)


@pytest.fixture(scope="module")
def streamed(
    place: Path, feed: Feed, rows: pd.DataFrame, trained: TrainResult, settings: Settings, spark: "SparkSession"
) -> Stream:
    """The other 500 rows, in five files without the target; one row has a letter for its alcohol."""
    stream = Stream(place, feed, settings.registry.tracking_uri)
    stream.landing.mkdir()
    unknown = rows.tail(500).drop(columns="class").astype({"alcohol": object})
    unknown.iloc[7, unknown.columns.get_loc("alcohol")] = "x"
    for number in range(5):
        text = unknown.iloc[100 * number : 100 * (number + 1)].to_csv(index=False, quoting=csv.QUOTE_MINIMAL)
        stream.put(f"{number}.csv", text.encode())
    stream_until_stopped(open_run(feed, settings), spark)
    return stream


def test_a_classifier_earns_production(trained: TrainResult, registry: Registry) -> None:
    assert (trained.reasons, trained.is_new) == ((), True)
    assert trained.metrics["log_loss"] < trained.metrics["baseline_log_loss"]
    assert trained.metrics["roc_auc"] > 0.7
    assert registry.in_production(NAME) == trained.version


def test_each_row_has_a_label_and_the_probability_of_each(
    streamed: Stream, rows: pd.DataFrame, registry: Registry, tmp_path: Path
) -> None:
    predictions, rejects = streamed.table("predictions"), streamed.table("quarantine")
    assert (len(predictions), list(rejects.reason), list(rejects.source_line)) == (499, ["bad_type"], [9])
    found = predictions.sort_values(["source_file", "source_line"]).prediction.apply(pd.Series)
    assert list(found) == ["label", "probability_fine", "probability_plain"]
    np.testing.assert_allclose(found.probability_fine + found.probability_plain, 1)
    assert (found.label == np.where(found.probability_fine > 0.5, "fine", "plain")).all()
    known = rows.tail(500).drop(index=rows.index[1007])
    model = mlflow.pyfunc.load_model(str(registry.download(registry.resolve(f"models:/{NAME}@production"), tmp_path)))
    wanted = model.predict(known.drop(columns="class").astype(float))
    assert found.label.tolist() == wanted.label.tolist()
    np.testing.assert_allclose(found.probability_fine, wanted.probability_fine, rtol=1e-12)
    assert set(found.label) == {"fine", "plain"}
    assert (found.label.to_numpy() == known["class"].to_numpy()).mean() > (known["class"] == "plain").mean()


def test_spark_reads_them_as_a_struct(streamed: Stream, spark: "SparkSession") -> None:
    table = spark.read.format("delta").load(f"{streamed.root}/tables/predictions")
    fine = table.where("prediction.label = 'fine' AND prediction.probability_fine > 0.5").count()
    assert 0 < fine == table.where("prediction.label = 'fine'").count()
    assert table.select("prediction.probability_plain").schema[0].dataType.simpleString() == "double"


def test_its_lineage_goes_back_to_the_rows_it_learned_from(
    streamed: Stream, feed: Feed, trained: TrainResult, settings: Settings, registry: Registry
) -> None:
    found = trace(feed, settings, registry, "2.csv", 5)
    assert found.made_of is not None and found.row is not None
    assert found.row["prediction"]["label"] in ("fine", "plain")
    assert found.made_of.data_digest == trained.origin.data_digest
