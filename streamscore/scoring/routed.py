"""The prediction of a routed feed: each row by the model that the routes give to its key, and the rows in their order.

Pure, but for the models, which a `Router` has.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import Column
from schemas.feed import Feed
from schemas.reasons import Reason
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.read import FileReject, FileRejectedError, ReadOptions, Rows, read_chunks
from streamscore.reading.rejects import shorten
from streamscore.reading.validate import validate
from streamscore.registry.model_version import ModelVersion
from streamscore.scoring.predict import predict
from streamscore.scoring.score import Scored

PLACE = "routed:row"  # the place of a row in its chunk; no column of a feed has a colon in its name

Target = tuple[str, ...]  # URIs of models, the one that is wanted most first
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NoModel:
    """Why there is no model, as the end of a sentence: for a key, or for the keys of a target."""

    why: str


class Router(Protocol):
    """Which model scores which rows.

    Attributes:
        text_columns: original names of the typed features that one of the models wants as text; it grows.
    """

    text_columns: frozenset[str]

    def find(self, key: str | None) -> Target | NoModel:
        """The models that a key may be scored by."""

    def ready(self, targets: Iterable[Target]) -> Iterator[tuple[Target, Model | NoModel]]:
        """The model of each target, as soon as it is loaded; it stays in memory until the next one is asked for.

        Raises:
            RegistryError: a model cannot be had now.
            NoRoomError: there is no room for one now.
        """


class MoreTextError(Exception):
    """A model wants columns as text that were not read as such; start again."""


def score_routed(files: Sequence[LandedFile], feed: Feed, router: Router, options: ReadOptions) -> Iterator[Scored]:
    """As `score`; `model_name`, `model_version` and `model_run_id` are columns of the predictions, too.

    A row whose key has no model is a reject, `no_model`. What a model refuses has its `model_version`.

    Raises:
        FileRejectedError: as `score`.
        MoreTextError: drop all chunks, and score again.
        StreamscoreError: a model cannot be had now.
    """
    column = feed.routed_by
    assert column is not None
    text = router.text_columns
    for rows, rejects in read_chunks(files, feed, replace(options, text_columns=text)):
        rows, invalid = validate(rows, feed)
        predictions, failed = predict_routed(rows, column, router, text)
        joined = pa.concat_tables([rejects, invalid, *failed], promote_options="default")
        yield Scored(predictions, joined, rows.truncated)


def predict_routed(rows: Rows, column: Column, router: Router, text: frozenset[str]) -> tuple[pa.Table, list[pa.Table]]:
    """The rows with their prediction and its version, in their order; and the rejects, some with `model_version`."""
    groups, rejects = _grouped(rows, column, router)
    numbered = rows.table.append_column(PLACE, pa.array(np.arange(rows.table.num_rows)))
    pieces: list[pa.Table] = []
    for target, found in router.ready(groups):
        places = groups[target]
        if isinstance(found, NoModel):
            rejects.append(_without_model(rows, column, places, found))
            continue
        if more := found.text_columns - text:
            router.text_columns |= more
            raise MoreTextError
        mine = numbered if len(places) == len(numbered) else numbered.take(pa.array(places))
        predictions, failed = predict(rows.with_table(mine), found)
        pieces.append(_with_version(predictions, found.identity))
        if failed.num_rows:
            version = pa.repeat(pa.scalar(found.version), failed.num_rows)
            rejects.append(failed.append_column("model_version", version))
    if not pieces:
        return rows.table.slice(0, 0), rejects
    return _in_order(pieces), rejects


def routing_keys(files: Sequence[LandedFile], feed: Feed, options: ReadOptions) -> set[str | None]:
    """The keys of all good rows of some files, as text; what `Router.find` will be asked."""
    column = feed.routed_by
    assert column is not None
    refused: dict[str, FileReject] = {}
    while True:
        keys: set[str | None] = set()
        try:
            for rows, _ in read_chunks(files, feed, replace(options, refused=refused)):
                good, _ = validate(rows, feed)
                keys.update(_as_key(value) for value in pc.unique(good.table[column.table_name]).to_pylist())
        except FileRejectedError as error:
            refused[error.file.path] = error.refusal
        else:
            return keys


def _grouped(rows: Rows, column: Column, router: Router) -> tuple[dict[Target, Places], list[pa.Table]]:
    """The places of the rows of each target; the rows whose keys have none, as rejects."""
    values = rows.table[column.table_name].combine_chunks().dictionary_encode(null_encoding="encode")
    found = [router.find(_as_key(value)) for value in values.dictionary.to_pylist()]
    kinds: dict[Hashable, int] = {}
    kind_of_value = np.array([kinds.setdefault(one, len(kinds)) for one in found], np.int64)
    if len(kinds) <= 1:
        by_kind = {one: np.arange(len(values)) for one in kinds}
    else:
        of_row = kind_of_value[values.indices.to_numpy()]
        order = np.argsort(of_row, kind="stable")
        by_kind = dict(
            zip(kinds, np.split(order, np.cumsum(np.bincount(of_row, minlength=len(kinds)))[:-1]), strict=True)
        )
    rejects = [_without_model(rows, column, by_kind[one], one) for one in kinds if isinstance(one, NoModel)]
    return {one: by_kind[one] for one in kinds if isinstance(one, tuple)}, rejects


def _as_key(value: str | int | None) -> str | None:
    return None if value is None or value == "" else str(value)


def _without_model(rows: Rows, column: Column, places: Places, found: NoModel) -> pa.Table:
    values = rows.table[column.table_name].take(pa.array(places)).to_pylist()
    details = [f"found {_shown(value)}, {found.why}"[:1000] for value in values]
    return rows.reject(places.tolist(), Reason.NO_MODEL, column.name, details)


def _shown(value: str | int | None) -> str:
    return "no value" if value is None else shorten(value) if isinstance(value, str) else str(value)


def _with_version(predictions: pa.Table, model: ModelVersion) -> pa.Table:
    said: Mapping[str, str] = {
        "model_name": model.name,
        "model_version": model.version,
        "model_run_id": model.run_id,
    }
    for name, value in said.items():
        predictions = predictions.append_column(name, pa.repeat(pa.scalar(value, pa.string()), predictions.num_rows))
    return predictions


def _in_order(pieces: Sequence[pa.Table]) -> pa.Table:
    """The rows of all models, as they stood in their chunk."""
    if len(pieces) == 1:
        return pieces[0].drop_columns([PLACE])
    table = pa.concat_tables(pieces)
    order = np.argsort(table[PLACE].to_numpy())
    return table.take(pa.array(order)).drop_columns([PLACE])
