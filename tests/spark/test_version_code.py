"""Versions with code of their own on executors."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from streamscore.models.row_model import load_model
from streamscore.registry.model_version import ModelVersion
from streamscore.spark.executors import Shipped, ship
from tests.support.version_code import FEED, save_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.trains, pytest.mark.repeats]


def test_each_version_runs_its_own_code_in_the_workers_too(spark: "SparkSession", tmp_path: Path) -> None:
    shipped: list[Shipped] = []
    for factor in (2, 3):
        model = load_model(save_version(tmp_path, factor), FEED, ModelVersion("scaled", str(factor), "r"))
        shipped.append(ship(spark, model, FEED))

    def predictions(version: Shipped) -> list[float]:
        def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                a = batch["id"].cast(pa.float64())
                yield pa.RecordBatch.from_arrays([version.load().predict(pa.table({"a": a, "b": a}))], ["p"])

        rows = spark.range(1, 3, numPartitions=1).mapInArrow(predict, "p double").collect()
        return [row.p for row in rows]

    assert [predictions(version) for version in (*shipped, *shipped)] == [[2.0, 4.0], [3.0, 6.0]] * 2
