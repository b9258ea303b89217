"""A small series model as code, its feed, and the oracle that says what forecasts must hold."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from schemas.feed import Feed
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from streamscore.forecasting.to_parts import SeriesScorer
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.models.series_model import SeriesModel, load_series_model
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.commit import Commit, DeltaRsWriter, commit
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables

# every value of the window counts, each with its own weight: a wrong window gives another number
CODE = """
import mlflow, numpy as np

class Lags(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return self.forecast_windows(model_input.to_numpy(float)[np.newaxis], 1)[0, :, :, 0]

    def forecast_windows(self, windows, steps):
        if (windows[:, -1] == 666).any():
            raise ValueError("666")
        weights = np.arange(1, windows.shape[1] + 1)[:, np.newaxis]
        level = (windows * weights).sum(axis=1)
        mean = np.stack([level + {drift} * step for step in range(1, steps + 1)], axis=1)
        mean[mean > 1e9] = np.nan
        return np.stack([mean - 1, mean, mean + 1], axis=3)[..., [1, 0, 2]]

mlflow.models.set_model(Lags())
"""
HEADER = "sensor,at,temp,load\n"
ENDOGENOUS = ("temp", "load")


def feed_of(late: str = "refuse", duplicate: str = "refuse", steps: int = 3) -> Feed:
    """Two measures of any number of sensors."""
    return Feed.model_validate(
        {
            "name": "sensors",
            "kind": "series",
            "series": {"steps": steps, "late": late, "duplicate": duplicate},
            "columns": [
                {"name": "sensor", "type": "string", "role": "key"},
                {"name": "at", "type": "timestamp", "role": "time"},
                {"name": "temp", "type": "double", "max": 1e12},
                {"name": "load", "type": "double"},
            ],
        }
    )


def metadata(window_rows: int, endogenous: tuple[str, ...] = ENDOGENOUS) -> dict[str, Any]:
    """What a series model says of itself."""
    said = {"kind": "series", "window_rows": window_rows, "endogenous": list(endogenous), "steps": 3}
    return {"streamscore": said}


def save_model(folder: Path, window_rows: int = 3, drift: float = 1.0, **more: Any) -> Path:
    """A version in a folder of its own."""
    import mlflow.pyfunc

    code, path = folder / f"lags_{len(list(folder.iterdir()))}.py", folder / f"model-{len(list(folder.iterdir()))}"
    code.write_text(CODE.format(drift=drift))
    said = {"metadata": metadata(window_rows)} | more
    mlflow.pyfunc.save_model(str(path), python_model=str(code), pip_requirements=[], **said)
    return path


def register(registry: Registry, folder: Path, feed: Feed, window_rows: int = 3, drift: float = 1.0) -> str:
    """A version of the feed's model in a registry."""
    code = folder / f"lags_{window_rows}_{drift}.py"
    code.write_text(CODE.format(drift=drift))
    with registry.active() as mlflow, mlflow.start_run(experiment_id=registry.experiment(feed.name)) as run:
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=str(code), metadata=metadata(window_rows), pip_requirements=[]
        )
    return registry.add_version(feed.name, logged.model_id, run.info.run_id, {})


def load(path: Path, feed: Feed, version: str = "1") -> SeriesModel:
    return load_series_model(path, feed, ModelVersion(feed.name, version, "run-1"))


def line(sensor: str, minute: int, temp: float, load: float = 0.0) -> str:
    """One observation; times are minutes of a day."""
    return f"{sensor},2026-01-01T{minute // 60:02}:{minute % 60:02}:00Z,{temp!r},{load!r}\n"


def spoiled(number: int) -> str:
    """A file's rows: two sensors by turns, each with a time that is there and one that is late."""
    first = 10 * number
    rows = [line(sensor, first + n, first + n + 0.25, n * n) for n in range(5) for sensor in "ab"]
    return HEADER + "".join([*rows, line("a", first + 4, 1), line("b", first - 1, 1), line("b", first + 9, first)])


@dataclass
class Driver:
    """Micro-batches of series without Spark, over real tables."""

    root: Path
    feed: Feed
    app_id: str = "app"
    done: int = 0
    tables: Tables = field(init=False)

    def __post_init__(self) -> None:
        self.tables = Tables(self.root / "tables", self.feed, TablesSettings())
        self.landing = self.root / "landing"
        self.landing.mkdir(exist_ok=True, parents=True)
        self.forecasts = SeriesScorer(self.tables)

    def land(self, *texts: str, header: str = HEADER) -> list[LandedFile]:
        """Files of these rows."""
        files = []
        for text in texts:
            path = self.landing / f"{len(list(self.landing.iterdir())):05}.csv"
            path.write_text(header + text)
            status = path.stat()
            files.append(LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns))
        return files

    def score(self, files: list[LandedFile], model: SeriesModel, chunk_rows: int = 65_536) -> tuple[Parts, Batch]:
        """The parts of the next micro-batch, not committed."""
        self.tables.create(model.output)
        self.tables.predictions.refresh()
        batch = Batch(
            self.app_id, self.done, BatchManifest(self.done + 1, tuple(files)), ModelVersion("m", model.version, "r")
        )
        work = ScoringTask(self.feed, batch, self.tables.folders, self.landing.as_uri(), chunk_rows, Storage())
        return self.forecasts.score_to_parts(files, work, model), batch

    def put(self, parts: Parts, batch: Batch) -> Commit:
        done = commit(parts, batch, self.tables, DeltaRsWriter())
        self.done += 1
        return done

    def run(self, files: list[LandedFile], model: SeriesModel, chunk_rows: int = 65_536) -> None:
        """One micro-batch."""
        self.forecasts.committed(self.put(*self.score(files, model, chunk_rows)))

    def table(self, name: str) -> pd.DataFrame:
        return self.tables.log(name).dataset().to_table().to_pandas()


@dataclass
class SeriesOracle:
    """What a batch job that reads the files in their order would have written, told without the stream's code.

    Attributes:
        window_rows, drift: of each model version.
    """

    feed: Feed
    models: Mapping[str, tuple[int, float]]

    def assert_exactly_once(self, landed: Mapping[str, str], forecasts: pd.DataFrame, rejects: pd.DataFrame) -> None:
        """Each data row once, in the right table, with the forecasts of its version from the right window."""
        version_of = dict(zip(forecasts.source_file, forecasts.model_version, strict=True))
        good, bad = self._expected(landed, version_of)
        columns = [f"{name}_{what}" for name in ENDOGENOUS for what in ("forecast", "lower", "upper")]
        found = forecasts.set_index(["source_file", "source_line", "step"])[columns].sort_index()
        assert found.index.is_unique
        wanted = pd.DataFrame.from_dict(good, orient="index", columns=columns).astype(float)
        wanted.index = pd.MultiIndex.from_tuples(wanted.index, names=found.index.names)
        assert sorted(found.index) == sorted(wanted.index)
        np.testing.assert_allclose(found, wanted.sort_index(), rtol=1e-12)
        reasons = {(r.source_file, int(r.source_line)): r.reason for r in rejects.itertuples()} if len(rejects) else {}
        assert reasons == bad and len(rejects) == len(bad)

    def _expected(
        self, landed: Mapping[str, str], version_of: Mapping[str, str]
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        history: dict[str, dict[str, tuple[float, ...]]] = {}
        good: dict[Any, Any] = {}
        bad: dict[Any, Any] = {}
        rules = self.feed.series
        for name, text in landed.items():
            window_rows, drift = self.models[version_of.get(name, next(iter(self.models)))]
            for number, record in enumerate(csv.DictReader(io.StringIO(text)), start=2):
                series = history.setdefault(record["sensor"], {})
                time, place = record["at"], (name, number)
                near = sorted(series)[-window_rows:]
                is_new = not near or time > near[-1]
                if time in near and rules.duplicate == "refuse":
                    bad[place] = "duplicate_time"
                    continue
                if not is_new and time not in near and rules.late == "refuse":
                    bad[place] = "late"
                    continue
                series[time] = tuple(float(record[column]) for column in ENDOGENOUS)
                window = np.array([series[at] for at in sorted(series)][-window_rows:])
                if len(window) < window_rows or time != max(series):
                    good[*place, 0] = (None,) * 6
                    continue
                level = (window * np.arange(1, window_rows + 1)[:, None]).sum(axis=0)
                for step in range(1, rules.steps + 1):
                    mean = level + drift * step
                    good[*place, step] = [value for m in mean for value in (m, m - 1, m + 1)]
        return good, bad
