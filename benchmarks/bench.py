"""What the parts share: places, models, texts, and the time that is left."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks.contestant import Contestant
from benchmarks.models import ELASTIC_NET, make_models, make_text
from benchmarks.roster import entry
from benchmarks.sizes import ROOT, Sizes

STEERING = ("AWS_", "MLFLOW_", "STREAMSCORE_", "SPARK_", "PYSPARK_")
ROWS = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """The end of a part's time."""

    ends: float

    def over(self) -> bool:
        """Whether it is over; what was measured by then counts."""
        return time.monotonic() > self.ends


@dataclass
class Bench:
    """One run of the harness.

    Attributes:
        models: name → URI.
        environment: of every contestant.
        text: of one file of 100 rows.
        ends: monotonic seconds when the whole run's time is over.
        only: contestants to measure; empty: all.
        left_out: contestant → why.
    """

    scratch: Path
    sizes: Sizes
    models: Mapping[str, str]
    environment: Mapping[str, str]
    text: bytes
    ends: float
    only: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    _made: list[Contestant] = field(default_factory=list)

    def limit(self, part: str, share: float = 1.0) -> Limit:
        """The end of a part, or of a share of it, that begins now."""
        return Limit(min(time.monotonic() + 60 * share * self.sizes.minutes[part], self.ends))

    @contextmanager
    def contestant(self, name: str, model: str = ELASTIC_NET, *, max_files: int = 0) -> Iterator[Contestant]:
        """A contestant in a folder of its own, not started; ended afterwards."""
        folder = self.scratch / f"{len(self._made):03}-{uuid4().hex[:6]}-{name}"
        (folder / "landing").mkdir(parents=True)
        wanted = entry(name, self.models[model], max_files)
        made = Contestant(wanted, folder, {**self.environment, **wanted.environment})
        self._made.append(made)
        try:
            yield made
        finally:
            made.stop()

    def stop(self) -> None:
        """End all that run."""
        for contestant in self._made:
            contestant.stop()

    def able(self, names: tuple[str, ...]) -> list[str]:
        """Those that can be started here; the others are noted as left out."""
        for name in names:
            if lacking := entry(name, "").lacking:
                self.left_out[name] = lacking
        return [name for name in names if name not in self.left_out and (not self.only or name in self.only)]

    def file_of(self, rows: int) -> bytes:
        """The text of a file with so many rows."""
        return make_text(rows, self.scratch / "made")


def prepare(scratch: Path, sizes: Sizes, only: tuple[str, ...] = ()) -> Bench:
    """Train and register the models; nothing of this machine's settings reaches the contestants."""
    ends, tracking = time.monotonic() + 60 * sizes.all_minutes, f"sqlite:///{scratch}/mlflow.db"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
    environment = clean | {
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        **sizes.environment,
    }
    return Bench(scratch, sizes, make_models(tracking), environment, make_text(ROWS, scratch / "made"), ends, only)
