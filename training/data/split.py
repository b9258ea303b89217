"""Rows to fit on, and rows held out to judge by."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.errors import FeedError
from schemas.feed import Column, Feed
from training.data.training_data import NUMBERS, Data
from training.settings import Splitting

FITTED, HELD_OUT = "fitted", "held_out"


@dataclass(frozen=True, slots=True)
class Split:
    """The rows in two parts; every row is in exactly one, in the order that it had."""

    fitted: Data
    held_out: Data


def split(data: Data, settings: Splitting, feed: Feed) -> Split:
    """Hold out a share of the rows: at random, the latest, or all rows of some keys.

    - `ratio`: exactly `round(rows * held_out)`, at least one; which, the seed says.
    - `time`: the latest ones. Rows of the same time stay together, on the fitted side, so all held-out rows are later
      than all fitted ones, and there may be fewer of them than the share.
    - `key`: a key is held out if SHA-256 of seed and key, as a share of all hashes, is below `held_out`: it stays on
      its side when rows are added, and the share is about right for many keys only. Null is a key as empty text is.

    The digest of a part is SHA-256 of `<digest of the whole> <part> <settings as JSON>`.

    Raises:
        FeedError: no column to split by, a time that is null or no time, or one side without rows.
    """
    if settings.by == "ratio":
        out = np.zeros(data.rows, bool)
        out[held_out_rows(data.rows, settings.held_out, settings.seed)] = True
    elif settings.by == "time":
        out = _latest(data, _column(feed, data, settings, "time")[0], settings.held_out)
    else:
        out = _of_keys(data, _column(feed, data, settings, "key"), settings)
    if out.all() or not out.any():
        side = "fitted" if out.all() else "held-out"
        msg = (
            f"{data.source}: splitting {data.rows} rows by {settings.by} leaves no {side} row; "
            f"give more data, or another split.held_out or split.by in conf/training/{feed.name}.yaml"
        )
        raise FeedError(msg)
    return Split(_part(data, ~out, FITTED, settings), _part(data, out, HELD_OUT, settings))


def held_out_rows(rows: int, ratio: float, seed: int) -> np.ndarray:
    """Which rows are held out: sorted positions (0 = the first data row), the same for equal arguments."""
    count = max(1, round(rows * ratio))
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def _part(data: Data, chosen: np.ndarray, part: str, settings: Splitting) -> Data:
    positions = np.flatnonzero(chosen)

    def rows_of(values: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
        taken = values.take(positions)
        taken.index = pd.RangeIndex(len(positions))
        return taken

    return Data(
        rows_of(data.features),
        rows_of(data.target),
        rows_of(data.others),
        hashlib.sha256(f"{data.digest} {part} {settings.model_dump_json()}".encode()).hexdigest(),
        data.source,
        positions=positions if data.positions is None else data.positions[positions],
    )


def _column(feed: Feed, data: Data, settings: Splitting, role: str) -> list[Column]:
    """The columns to split by: the one of the settings, else the feed's of that role (of a time: the first)."""
    columns = [c for c in feed.columns if (c.name == settings.column if settings.column else c.role == role)]
    there = {*data.features, *data.others}
    if not columns:
        wanted = f"the column '{settings.column}'" if settings.column else f"a column with 'role: {role}'"
        msg = (
            f"split.by: {role} wants {wanted}, feed {feed.name} has {', '.join(c.name for c in feed.columns)}; "
            f"set split.column in conf/training/{feed.name}.yaml"
        )
        raise FeedError(msg)
    if missing := [c.name for c in columns if c.name not in there]:
        msg = (
            f"{data.source} lacks '{missing[0]}', by which it is to be split; add that column, or change split.by in "
            f"conf/training/{feed.name}.yaml"
        )
        raise FeedError(msg)
    return columns


def _values(data: Data, column: Column) -> pd.Series:
    return data.features[column.name] if column.name in data.features else data.others[column.name]


def _latest(data: Data, column: Column, share: float) -> np.ndarray:
    times = _values(data, column)
    if column.type not in ("date", "timestamp", *NUMBERS):
        msg = f"split.by: time wants a date, a timestamp or a number, '{column.name}' is {column.type}"
        raise FeedError(msg)
    if nulls := int(times.isna().sum()):
        msg = f"{data.source}: the time '{column.name}' is null in {nulls} of {data.rows} rows; leave these rows out"
        raise FeedError(msg)
    last_fitted = times.sort_values(ignore_index=True).iloc[max(0, data.rows - round(data.rows * share) - 1)]
    return (times > last_fitted).to_numpy(bool)


def _of_keys(data: Data, columns: list[Column], settings: Splitting) -> np.ndarray:
    texts = [_values(data, c).astype(object).where(lambda v: v.notna(), "").astype(str) for c in columns]
    codes, keys = pd.factorize(texts[0].str.cat(texts[1:], sep="\x1f"))
    hashes = [hashlib.sha256(f"{settings.seed}\x1f{key}".encode()).digest()[:8] for key in keys]
    return np.array([int.from_bytes(found, "big") / 2**64 < settings.held_out for found in hashes], bool)[codes]
