"""Generated rows of a feed: wine-like for the wine feeds, else what the declared types and ranges allow."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import Column, Feed

CHUNK_ROWS = 65_536

Columns = dict[str, np.ndarray]


def generated_chunks(feed: Feed, rows: int, seed: int) -> Iterator[pa.Table]:
    """Tables of up to 65,536 rows under the feed's original names; equal arguments give equal values."""
    make = _wine if {c.table_name for c in feed.features} <= set(WINE) else _general
    for start in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - start)
        made = make(feed, count, start, np.random.default_rng([seed, start]))
        yield pa.table({column.name: made[column.name] for column in feed.columns})


# Mean, standard deviation, lowest, highest, decimals: the marginal statistics of the white-wine data set
# (Cortez et al. 2009, table 1, and the UCI file), no row of it.
WINE: dict[str, tuple[float, float, float, float, int]] = {
    "fixed_acidity": (6.855, 0.844, 3.8, 14.2, 1),
    "volatile_acidity": (0.278, 0.101, 0.08, 1.1, 2),
    "citric_acid": (0.334, 0.121, 0.0, 1.66, 2),
    "residual_sugar": (6.391, 5.072, 0.6, 65.8, 1),
    "chlorides": (0.0458, 0.0218, 0.009, 0.346, 3),
    "free_sulfur_dioxide": (35.3, 17.0, 2.0, 289.0, 0),
    "total_sulfur_dioxide": (138.4, 42.5, 9.0, 440.0, 0),
    "density": (0.99403, 0.00299, 0.98711, 1.03898, 5),
    "ph": (3.188, 0.151, 2.72, 3.82, 2),
    "sulphates": (0.490, 0.114, 0.22, 1.08, 2),
    "alcohol": (10.514, 1.231, 8.0, 14.2, 1),
}
SKEWED = frozenset(WINE) - {"fixed_acidity", "citric_acid", "density", "ph"}
# how the standardised columns hang together: least squares on the same data set
LINKS: dict[str, dict[str, float]] = {
    "alcohol": {"residual_sugar": -0.45},
    "total_sulfur_dioxide": {"free_sulfur_dioxide": 0.54, "residual_sugar": 0.24},
    "ph": {"fixed_acidity": -0.43},
    "citric_acid": {"fixed_acidity": 0.29},
    "density": {"residual_sugar": 0.60, "alcohol": -0.49, "fixed_acidity": 0.15},
}
# standardised columns → quality, whose residual has a standard deviation of 0.75, rounding included
QUALITY = {
    "volatile_acidity": -0.188,
    "residual_sugar": 0.413,
    "free_sulfur_dioxide": 0.063,
    "density": -0.449,
    "ph": 0.104,
    "sulphates": 0.072,
    "alcohol": 0.238,
}
QUALITY_MEAN, QUALITY_NOISE = 5.878, 0.70


def _wine(feed: Feed, rows: int, start: int, random: np.random.Generator) -> Columns:
    """Eleven measurements that hang together as in wine, and a quality that depends on them with noise."""
    shares: Columns = {}  # standard normal each
    for name in sorted(WINE, key=lambda name: (name in LINKS, name == "density")):
        links = LINKS.get(name, {})
        left = np.sqrt(max(0.07, 1 - sum(weight**2 for weight in links.values())))
        shares[name] = sum((w * shares[other] for other, w in links.items()), left * random.standard_normal(rows))
    wine = {name: _measured(name, share) for name, share in shares.items()}
    scored = {name: (wine[name] - WINE[name][0]) / WINE[name][1] for name in QUALITY}
    quality = QUALITY_MEAN + sum(weight * scored[name] for name, weight in QUALITY.items())
    quality = np.clip(np.rint(quality + QUALITY_NOISE * random.standard_normal(rows)), 3, 9).astype("int64")
    made = {}
    for column in feed.columns:
        if column.table_name in wine:
            values = wine[column.table_name]
            made[column.name] = _as_text(values) if column.type == "string" else values
        else:
            made[column.name] = quality if column.role == "target" else _values(column, rows, start, random)
    return made


def _measured(name: str, share: np.ndarray) -> np.ndarray:
    mean, deviation, low, high, decimals = WINE[name]
    if name in SKEWED:  # log-normal of that mean and deviation
        spread = np.log1p((deviation / mean) ** 2)
        values = np.exp(np.log(mean) - spread / 2 + np.sqrt(spread) * share)
    else:
        values = mean + deviation * share
    return np.round(np.clip(values, low, high), decimals)


def _general(feed: Feed, rows: int, start: int, random: np.random.Generator) -> Columns:
    """Values that the feed accepts, and a numeric target that depends on the numeric features."""
    made = {column.name: _values(column, rows, start, random) for column in feed.columns}
    target = feed.target
    if target is not None and target.allowed is None and target.type in ("int", "long", "float", "double"):
        numeric = [made[c.name] for c in feed.features if made[c.name].dtype.kind in "fi"]
        shares = [(values - values.mean()) / (values.std() or 1) for values in numeric]
        signal = sum(shares, random.standard_normal(rows)) / np.sqrt(len(shares) + 1)  # of variance 1
        low, high = _bounds(target)
        values = np.clip((low + high) / 2 + (high - low) / 6 * signal, low, high)
        made[target.name] = np.rint(values).astype("int64") if target.type in ("int", "long") else values.round(4)
    return made


def _values(column: Column, rows: int, start: int, random: np.random.Generator) -> np.ndarray:
    """Values of one column that its type and range allow; times count up."""
    position = start + np.arange(rows)
    if column.allowed is not None:
        return random.choice(np.array(column.allowed), rows)
    low, high = _bounds(column)
    makers: dict[str, Callable[[], np.ndarray]] = {
        "string": lambda: np.char.add("k" if column.role == "key" else "w", (position % 7).astype(str)),
        "boolean": lambda: random.random(rows) < 0.5,
        "int": lambda: random.integers(int(np.ceil(low)), int(high), rows, endpoint=True),
        "double": lambda: np.clip(random.uniform(low, high, rows).round(4), low, high),
        "date": lambda: np.datetime64("2024-01-01") + position % 3650,
        "timestamp": lambda: np.datetime64("2024-01-01T00:00:00", "s") + position * 60,
    }
    return makers[{"long": "int", "float": "double"}.get(column.type, column.type)]()


def _bounds(column: Column) -> tuple[float, float]:
    low = column.min if column.min is not None else 0.0 if (column.max or 1.0) > 0 else (column.max or 0.0) - 100.0
    high = column.max if column.max is not None else low + 100.0
    return low, high


def _as_text(values: np.ndarray) -> np.ndarray:
    return pc.cast(pa.array(values), pa.string()).to_numpy(zero_copy_only=False)
