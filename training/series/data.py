"""A series to train on: read by column name, one row per time, in order of time, nothing missing in between."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed
from schemas.frequency import Frequency
from training.data.fetch import data_path
from training.data.read import folded, with_read_times
from training.data.read_csv import csv_names, read_csv
from training.series.frequency import infer_frequency, stated_frequency
from training.series.macrodata import NAME, macrodata_csv
from training.settings import ANY
from training.settings import Series as SeriesSettings

NUMBERS = ("int", "long", "float", "double")


@dataclass(frozen=True, slots=True)
class SeriesData:
    """One multivariate series.

    Attributes:
        values: doubles, a column per endogenous variable under its original name; the index is the time, UTC without
            a zone, increasing and regular, and named as the feed's time column.
        exogenous: doubles, a column per regressor, of the same rows; without columns if the feed has none.
        frequency: the distance of two rows; None: whatever it is, as the settings say.
        key: the text of each key column of the feed, of this series.
        digest: SHA-256 of the file's bytes, hexadecimal.
        source: where the rows come from: a path, or `statsmodels macrodata`.
    """

    values: pd.DataFrame
    exogenous: pd.DataFrame
    frequency: Frequency | None
    key: dict[str, str | None]
    digest: str
    source: str

    @property
    def rows(self) -> int:
        """The number of observations."""
        return len(self.values)

    @property
    def frame(self) -> pd.DataFrame:
        """The values, then the regressors."""
        return self.values.join(self.exogenous)


def load_series(feed: Feed, path: Path | None, settings: SeriesSettings) -> SeriesData:
    """The series in a CSV or Parquet file; columns are found by name, others are left, rows are put in order of time.

    Without a path `var/data/<feed>.csv`; without that, for the feed macrodata, the data that come with statsmodels.

    Raises:
        SettingsError: no such file, or settings that name a column which is none.
        FeedError: the feed is no series, or the data will not do: empty, a column missing, constant or no number, a
            value null, NaN or infinite, several series, a time twice, or a gap; names the first place.
    """
    time, columns = time_column(feed), endogenous_columns(feed, settings)
    if path is None and data_path(feed.name).is_file():
        path = data_path(feed.name)
    if path is None and feed.name != NAME:
        msg = f"no data for feed {feed.name}: give a CSV or Parquet file with --data"
        raise SettingsError(msg)
    if path is not None and not path.is_file():
        msg = f"no file {path}: give a CSV or Parquet file with --data"
        raise SettingsError(msg)
    content = macrodata_csv() if path is None else path.read_bytes()
    source = f"statsmodels {NAME}" if path is None else str(path.absolute())
    keys = [column.name for column in feed.columns if column.role == "key"]
    regressors = [column.name for column in feed.exogenous]
    frame = _read(feed, source, content, [time, *keys, *columns, *regressors])
    frame, key = _one_series(frame, keys, settings.key, source)
    if frame.empty:
        msg = f"{source} has a header and no rows; a series wants some: --data FILE"
        raise FeedError(msg)
    found = _by_time(frame, time, [*columns, *regressors], source)
    _assert_values(found, source, regressors)
    values = found[columns]
    return SeriesData(
        values, found[regressors], _frequency(feed, values, settings, source), key, sha256(content).hexdigest(), source
    )


def _frequency(feed: Feed, values: pd.DataFrame, settings: SeriesSettings, source: str) -> Frequency | None:
    times, zone = values.index.to_numpy().astype("datetime64[us]").astype(np.int64), feed.time.zone or ""
    if settings.frequency == ANY:
        return None
    if settings.frequency:
        return stated_frequency(times, Frequency.parse(settings.frequency, zone), source)
    return infer_frequency(times, source, zone)


def time_column(feed: Feed) -> str:
    """The name of the feed's time column.

    Raises:
        FeedError: the feed is no series, or has not exactly one such column of type date or timestamp.
    """
    if feed.kind != "series":
        msg = f"feed {feed.name} is of kind '{feed.kind}', VAR and VARMAX want 'kind: series' in its file"
        raise FeedError(msg)
    times = [c.name for c in feed.columns if c.role == "time" and c.type in ("date", "timestamp")]
    if len(times) != 1:
        msg = (
            f"feed {feed.name} has {len(times)} columns of role 'time' and type date or timestamp, a series wants one; "
            f"fix schemas/{feed.name}.yaml"
        )
        raise FeedError(msg)
    return times[0]


def endogenous_columns(feed: Feed, settings: SeriesSettings) -> list[str]:
    """The columns that are forecast: those of the settings, else the feed's features.

    Raises:
        SettingsError: the settings name one that is no feature of the feed.
        FeedError: fewer than two, one that is no number, or names that the forecasts' columns would hide.
    """
    features = {column.name: column for column in feed.features}
    names = list(settings.columns or features)
    if unknown := [name for name in names if name not in features]:
        msg = f"series.columns names '{unknown[0]}', feed {feed.name} has features {', '.join(features)}"
        raise SettingsError(msg)
    if len(set(names)) < 2 or len(set(names)) < len(names):
        msg = f"feed {feed.name}: endogenous columns {', '.join(names)}; a VAR wants two or more, each once"
        raise FeedError(msg)
    if wrong := [name for name in names if features[name].type not in NUMBERS]:
        msg = f"feed {feed.name}: '{wrong[0]}' is {features[wrong[0]].type}, a series wants numbers"
        raise FeedError(msg)
    made = {"step", *(f"{name}_{bound}" for name in names for bound in ("lower", "upper"))}
    if hidden := [name for name in names if name in made]:
        msg = f"feed {feed.name}: forecasts have a column '{hidden[0]}' of their own; rename it in the feed"
        raise FeedError(msg)
    return names


def _read(feed: Feed, source: str, content: bytes, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted columns, typed as the feed declares, features as doubles."""
    columns = [
        c.model_copy(update={"type": "double"}) if c.role in ("feature", "exogenous") and c.type in NUMBERS else c
        for c in feed.columns
        if c.name in wanted
    ]
    kinds = {c.name: c.arrow_type for c in columns}
    try:
        if content[:4] == b"PAR1":
            table = parquet.read_table(io.BytesIO(content))
            spelled = _names(feed, source, table.column_names, wanted)
            table = with_read_times(feed, table, {spelled[column.name]: column for column in columns})
        elif not content.strip():
            msg = f"{source} is empty, wanted a header with {', '.join(wanted)}"
            raise FeedError(msg)
        else:
            _names(feed, source, csv_names(feed, source, content), wanted)
            table = read_csv(feed, source, content, columns)
        names = _names(feed, source, table.column_names, wanted)
        picked = table.select([names[name] for name in wanted]).rename_columns(list(wanted))
        table = picked.cast(pa.schema([(name, kinds[name]) for name in wanted]))
        # in microseconds: the nanoseconds that pandas would make of dates end in 1677 and 2262
        times = table[wanted[0]].cast(pa.timestamp("us"))
        return table.set_column(0, wanted[0], times).to_pandas(integer_object_nulls=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        msg = f"{source} does not hold what feed {feed.name} declares: {' '.join(str(error).split())}; mend that row"
        raise FeedError(msg) from error


def _names(feed: Feed, source: str, found: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """How the file spells each wanted column."""
    spelled = {folded(feed, name): name for name in found}
    if missing := [name for name in wanted if folded(feed, name) not in spelled]:
        msg = (
            f"{source} lacks columns {', '.join(map(repr, missing))}; it has {', '.join(found)[:300]}; "
            f"wanted what schemas/{feed.name}.yaml declares (delimiter {feed.csv.delimiter!r})"
        )
        raise FeedError(msg)
    if twice := [name for name in wanted if sum(folded(feed, name) == folded(feed, other) for other in found) > 1]:
        msg = f"{source} has column '{twice[0]}' more than once; leave one"
        raise FeedError(msg)
    return {name: spelled[folded(feed, name)] for name in wanted}


def _one_series(
    frame: pd.DataFrame, keys: Sequence[str], wanted: dict[str, str], source: str
) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """The rows of one series, and the text of its keys as the stream makes it."""
    if unknown := [name for name in wanted if name not in keys]:
        msg = f"series.key names '{unknown[0]}', the feed's key columns are {', '.join(keys) or 'none'}"
        raise SettingsError(msg)
    for name, value in wanted.items():
        known = frame[name].astype(str)
        frame = frame[known == value]
        if frame.empty:
            msg = f"{source} has no series of '{name}' {value!r}; it has {', '.join(sorted(known.unique())[:10])}"
            raise SettingsError(msg)
    if keys and len(several := frame[list(keys)].drop_duplicates()) > 1:
        first, second = (dict(zip(keys, map(str, row), strict=True)) for row in several.head(2).to_numpy())
        msg = (
            f"{source} holds {len(several)} series, as {first} and {second}; one model is trained on one: "
            f"name it in the training settings, series: {{key: {first}}}"
        )
        raise FeedError(msg)
    first = frame[list(keys)].iloc[:1].astype(object).to_dict("records")
    key = {name: None if pd.isna(value) else str(value) for row in first for name, value in row.items()}
    return frame, key


def _by_time(frame: pd.DataFrame, time: str, columns: list[str], source: str) -> pd.DataFrame:
    if (missing := frame[time].isna()).any():
        msg = (
            f"{source}: '{time}' is null in {int(missing.sum())} of {len(frame)} rows, first in data row "
            f"{int(np.flatnonzero(missing)[0]) + 1}; leave these rows out"
        )
        raise FeedError(msg)
    index = pd.DatetimeIndex(frame[time], name=time)
    values = frame[columns].set_axis(index).sort_index(kind="stable")
    if (again := values.index.duplicated()).any():
        first = values.index[again][0]
        msg = (
            f"{source}: time {first} is there {int((values.index == first).sum())} times, and {int(again.sum())} rows "
            f"repeat a time in all; leave one row for each"
        )
        raise FeedError(msg)
    return values


def _assert_values(values: pd.DataFrame, source: str, regressors: Sequence[str]) -> None:
    for name, column in values.items():
        leave_out = "give it the role carry" if name in regressors else "leave it out of series.columns"
        checks = {"null or NaN": column.isna(), "infinite": pd.Series(np.isinf(column))}
        for what, wrong in checks.items():
            if wrong.any():
                msg = (
                    f"{source}: '{name}' is {what} in {int(wrong.sum())} of {len(values)} rows, first at "
                    f"{values.index[wrong.to_numpy()][0]}; fill these, or {leave_out}"
                )
                raise FeedError(msg)
        if column.nunique() == 1:
            msg = (
                f"{source}: '{name}' is {column.iloc[0]:g} in all {len(values)} rows, a constant cannot be forecast, "
                f"nor forecast anything; {leave_out}"
            )
            raise FeedError(msg)
