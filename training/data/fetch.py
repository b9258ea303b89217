"""Real data sets, downloaded once and held against a pinned checksum."""

import difflib
import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SettingsError, StorageError

TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class DataSet:
    """A file on the web; `md5` is of the bytes after `old` was replaced by `new`."""

    url: str
    md5: str
    old: bytes = b""
    new: bytes = b""


# P. Cortez et al., Decision Support Systems 47(4), 2009; UCI Machine Learning Repository, CC BY 4.0. 4,898 rows.
# UCI separates by semicolons; with commas instead it is, byte by byte, the file that the checksum is of.
WHITE_WINE = DataSet(
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-white.csv",
    "5d6f24258e3c50bb01a61194b5401f5d",
    old=b";",
    new=b",",
)
MACRODATA = "macrodata"  # comes with statsmodels
DATA_SETS = {"wine_quality": WHITE_WINE, "wine_quality_text": WHITE_WINE}


def data_path(name: str) -> Path:
    """Where the data set of a feed lies: `./var/data/<feed>.csv`."""
    return Path.cwd() / "var" / "data" / f"{name}.csv"


def fetch(name: str, source: str | Path | None = None) -> Path:
    """The data set of a feed, at `data_path(name)`; nothing to do where it is there already.

    Args:
        name: of the feed.
        source: a path or URL to take it from instead of the one we know, with semicolons or commas.

    Raises:
        SettingsError: no data set of that name.
        StorageError: it cannot be had, or is not what the checksum says; nothing is kept.
    """
    if name == MACRODATA:
        from training.series.macrodata import macrodata_csv

        _keep(macrodata_csv(), data_path(name))
        return data_path(name)
    if name not in DATA_SETS:
        known = [*DATA_SETS, MACRODATA]
        near = difflib.get_close_matches(name, known, 1)
        msg = (
            f"no data set '{name}': {f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(known)}; "
            f"for any feed: streamscore sample {name}"
        )
        raise SettingsError(msg)
    wanted, target = DATA_SETS[name], data_path(name)
    if target.is_file() and _md5(target.read_bytes()) == wanted.md5:
        return target
    url = _url(source) if source else wanted.url
    content = _read(url, name, target, wanted)
    if wanted.old:
        content = content.replace(wanted.old, wanted.new)
    if (found := _md5(content)) != wanted.md5:
        msg = (
            f"{url} is not the data set '{name}': its md5 is {found}, wanted {wanted.md5}; nothing was kept; "
            f"put the right file at {target}, or use a generated one: streamscore sample {name}"
        )
        raise StorageError(msg)
    _keep(content, target)
    return target


def _read(url: str, name: str, target: Path, wanted: DataSet) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return answer.read()
    except OSError as error:
        msg = (
            f"cannot download {url}: {getattr(error, 'reason', error)}; put the file at {target} (md5 {wanted.md5}), "
            f"or use a generated one: streamscore sample {name}"
        )
        raise StorageError(msg) from error


def _keep(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".fetch-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).chmod(0o644)  # mkstemp lets the owner alone read it
    Path(temporary).rename(target)


def _url(source: str | Path) -> str:
    return source if isinstance(source, str) and "://" in source else Path(source).absolute().as_uri()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
