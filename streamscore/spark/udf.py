"""A feed's model as a Spark UDF, for anyone's DataFrame or SQL: the predictions that the stream would make."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import structlog

from schemas.errors import FeedError
from schemas.feed import Feed, load_feed
from schemas.settings import Settings, load_settings
from streamscore.models.example import TEXT
from streamscore.models.row_model import Model, load_model
from streamscore.registry.registry import open_registry
from streamscore.scoring.predict import predict_or_null
from streamscore.spark.executors import ship
from streamscore.spark.session import ship_code

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql._typing import UserDefinedFunctionLike

log = structlog.get_logger()

OTHERS = 3  # versions that a worker keeps beside the one it uses, for a query with several of these functions


def predict_udf(
    spark: "SparkSession", feed: Feed | str, *, model_uri: str = "", settings: Settings | None = None
) -> "UserDefinedFunctionLike":
    """A UDF from a struct of the feed's features to the prediction.

    Call it with `struct(...)` of columns named as in the feed or as in its tables; the order does not matter:
    `frame.withColumn("prediction", predict(struct("*")))`. A row on which the model raises, or gives null or NaN, has a
    null prediction. The version is resolved once, here, its files are verified as the stream's are, and
    kept in `var/models`.

    Args:
        feed: or its name.
        model_uri: instead of the feed's.
        settings: say where the registry is.

    Raises:
        FeedError: no such feed, or one of series.
        ContractError: model and feed do not fit, or the model's files may not be loaded.
        RegistryError: no such model.
    """
    from pyspark.sql.pandas.functions import ArrowUDFType, arrow_udf
    from pyspark.sql.pandas.types import from_arrow_type

    feed = load_feed(feed) if isinstance(feed, str) else feed
    if feed.kind == "series":
        msg = (
            f"feed {feed.name} is of kind 'series', wanted 'rows': a forecast needs the observations before it, a UDF "
            f"sees one row; read them from its forecasts table: streamscore run {feed.name}"
        )
        raise FeedError(msg)
    registry = open_registry(settings or load_settings())
    ref = registry.resolve(model_uri or feed.model_uri, feed.name)
    if not ref.has_manifest:
        log.warning("unverified", model_name=ref.name, model_version=ref.version)
    folder = Path("var/models").absolute()
    ship_code(spark, folder)
    model = load_model(registry.download(ref, folder), feed, ref.model)
    shipped = ship(spark, model, feed, others=OTHERS)

    def predict(rows: pa.Array) -> pa.Array:
        loaded = shipped.load()
        return predict_or_null(features(rows, feed, loaded), loaded)

    return arrow_udf(predict, from_arrow_type(model.output), ArrowUDFType.SCALAR)


def features(rows: pa.StructArray, feed: Feed, model: Model) -> pa.Table:
    """The feed's features in a struct, by original or table name, in the feed's types."""
    given = {rows.type.field(i).name: rows.field(i) for i in range(rows.type.num_fields)}
    columns: dict[str, pa.Array] = {}
    for column in feed.features:
        values = given[column.name] if column.name in given else given[column.table_name]
        columns[column.table_name] = values.cast(column.arrow_type)
        if column.name in model.text_columns:
            columns[TEXT + column.name] = values.cast(pa.string())
    return pa.table(columns)
