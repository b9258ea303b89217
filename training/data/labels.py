"""Labels that came late, joined with the predictions that the stream made: rows to train the next model on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import FeedError, SettingsError
from schemas.feed import Column, Feed
from schemas.settings import Storage
from streamscore.storage.object_store import assert_reachable, is_object_uri
from streamscore.storage.places import open_folder
from training.data.read import Wanted, column_names, data_files, folded, read_files, typed
from training.data.training_data import Data, assert_trainable, data_of, target_column, wanted_columns

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

BY_LINE = (Column(name="source_file", type="string"), Column(name="source_line", type="long"))


@dataclass(frozen=True, slots=True)
class _Labels:
    """`table` has the columns `by`, then the target, one row for each combination of `by`; no nulls."""

    table: pa.Table
    by: tuple[Column, ...]


def read_labelled(
    feed: Feed, table: str, labels: Path, is_classifier: bool = False, storage: Storage | None = None
) -> Data:
    """The rows of a predictions table that have a label by now, in the order of source file and line.

    Args:
        table: the Delta table that the stream wrote, a folder or `s3://…`; its columns are found by their table names.
        labels: CSV in the feed's dialect or Parquet, a file or a folder, with the target and either the columns
            `source_file, source_line` or all key columns of the feed. The label of a key is that of all rows with it.
        storage: how the object store is reached.

    Returns:
        The data; `digest` is of the joined rows alone, so it stays when the table is compacted or grows by rows without
        a label; `left_out` counts the latter.

    Raises:
        SettingsError: no such table or file.
        FeedError: columns are missing, a row has more than one label, no row has one, or as `training_data`.
    """
    target = target_column(feed, is_classifier)
    predictions, known = _open(table, storage), _labels(feed, labels, target, is_classifier)
    wanted = wanted_columns(feed, target, is_classifier)
    rows = _dataset(predictions, table, storage)
    columns = [*feed.features, *(c for c in wanted.optional if c.table_name in rows.schema.names)]
    by = [column.table_name for column in known.by]
    needed = [*by, *(column.table_name for column in feed.features), "source_file", "source_line"]
    if missing := [name for name in needed if name not in rows.schema.names]:
        msg = (
            f"{table} lacks '{missing[0]}', wanted a predictions table of feed {feed.name}; it has "
            f"{', '.join(rows.schema.names)[:300]}"
        )
        raise FeedError(msg)
    joined = _join(rows, known, [column.table_name for column in columns], target.table_name)
    total = rows.count_rows()
    if not joined.num_rows:
        msg = (
            f"none of the {total} rows of {table} has a label in {labels}, joined by {', '.join(by)}; "
            f"the first labels are for {known.table.select(by).slice(0, 3).to_pylist()}"
        )
        raise FeedError(msg)
    types = {column.table_name: wanted.type_of(column) for column in (*columns, target)}
    named = typed(feed, table, joined.select(list(types)), types)
    named = named.rename_columns([column.name for column in (*columns, target)])
    source = f"{table} v{predictions.version()} with labels of {labels}"
    data = data_of(feed, target, named, _digest(named), source, left_out=total - named.num_rows)
    assert_trainable(data, is_classifier)
    return data


def _open(table: str, storage: Storage | None) -> "DeltaTable":
    from deltalake import DeltaTable

    storage = storage or Storage()
    if is_object_uri(table):
        assert_reachable(storage, table, f"--predictions {table}")
    options = open_folder(table, storage).delta_options()
    if not DeltaTable.is_deltatable(table, options):
        msg = f"no Delta table at {table}: give the one that streamscore run writes, as var/tables/FEED/predictions"
        raise SettingsError(msg)
    return DeltaTable(table, storage_options=options)


def _dataset(table: "DeltaTable", uri: str, storage: Storage | None) -> "ds.Dataset":
    return table.to_pyarrow_dataset(filesystem=open_folder(uri, storage or Storage()).arrow_files())


def _labels(feed: Feed, path: Path, target: Column, is_classifier: bool) -> _Labels:
    keys = tuple(column for column in feed.columns if column.role == "key")
    header = {folded(feed, name) for name in column_names(feed, data_files(path, "give the labels with --labels")[0])}
    by = next((c for c in (BY_LINE, keys) if c and all({folded(feed, x.name), x.table_name} & header for x in c)), None)
    if by is None:
        names = ", ".join(c.name for c in keys)
        msg = (
            f"{path} says of no row which one it is, wanted the columns source_file, source_line"
            f"{f' or the key {names}' if keys else ''}; its header has {', '.join(sorted(header))[:300]}"
        )
        raise FeedError(msg)
    wanted = Wanted((*by, target), types=wanted_columns(feed, target, is_classifier).types)
    table = read_files(feed, path, wanted).table.rename_columns([c.table_name for c in (*by, target)]).drop_null()
    columns = [column.table_name for column in by]
    counted = table.group_by(columns).aggregate([([], "count_all")])
    if (twice := counted.filter(pc.field("count_all") > 1).select(columns)).num_rows:
        msg = (
            f"{path} has more than one label for {twice.num_rows} rows, as {twice.slice(0, 1).to_pylist()[0]}; "
            "leave one each"
        )
        raise FeedError(msg)
    return _Labels(table, by)


def _join(rows: "ds.Dataset", labels: _Labels, columns: Sequence[str], target: str) -> pa.Table:
    """By duckdb, which streams the table past the labels: memory is for the rows that have one."""
    import duckdb

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    on = " AND ".join(f"p.{quoted(c.table_name)} = l.{quoted(c.table_name)}" for c in labels.by)
    chosen = ", ".join([*(f"p.{quoted(name)}" for name in columns), f"l.{quoted(target)}"])
    sql = f"SELECT {chosen} FROM predictions p JOIN labels l ON {on} ORDER BY p.source_file, p.source_line"
    with duckdb.connect() as engine:
        engine.register("predictions", rows)
        engine.register("labels", labels.table)
        return engine.sql(sql).to_arrow_table()


def _digest(table: pa.Table) -> str:
    """SHA-256 of names, types and values, whatever the chunks that they come in."""
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for name in table.column_names:
        hashed = pd.util.hash_pandas_object(table[name].to_pandas(), index=False)
        digest.update(np.ascontiguousarray(hashed.to_numpy()).tobytes())
    return digest.hexdigest()
