"""The polluted files through the stream, in one Spark: in the driver or on executors, folders or a bucket."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found
from benchmarks.pollute.kinds import KINDS, Kind
from jobs.streaming.prepare import open_run
from jobs.streaming.run import stream_until_stopped
from schemas.feed import Feed, snake_case
from schemas.settings import Storage, load_settings
from services.object_store import REGION, ObjectStore
from streamscore.registry.registry import open_registry
from streamscore.storage.object_store import arrow_file_system, delta_options
from training.fitting.log_model import signature_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET = "pollute"
MAX_FILES = 100  # of a micro-batch, so that a feed has some


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run a stream.

    Attributes:
        mode: where rows are scored, `driver` or `executors`.
        spark: a session as a run starts it.
        store: the bucket's, with landing folder and tables in it; None: both are folders.
    """

    name: str
    mode: str
    spark: "SparkSession"
    store: ObjectStore | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a stream made of the files of its feed.

    Attributes:
        found: by path.
        landed: the files that could be landed; a bucket has no links and no times.
        ended: how, if it did not end when it had caught up.
    """

    kind: Kind
    found: Mapping[Path, Found]
    landed: Sequence[Outcome]
    ended: str


def stream(outcomes: Sequence[Outcome], setting: Setting, folder: Path, seconds: float) -> Iterator[Streamed]:
    """Land all files of one feed after the other, catch up with them, and read the tables.

    Args:
        folder: of this setting, new.
        seconds: after which a stream that has not ended counts as hanging.
    """
    uri = f"sqlite:///{folder}/mlflow.db"
    folder.mkdir(parents=True)
    if setting.store:
        setting.store.make_bucket(BUCKET)
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.kind is kind]
        if not mine:
            continue
        places = _places(mine, setting, folder)
        if setting.store:
            mine = [one for one in mine if _is_put(one, setting)]
        ended = _run(kind, register_model(kind, uri), setting, (uri, places, seconds))
        by_name = dict(_read(kind, setting, places))
        found = {o.path: by_name.pop(o.source_file, Found(lines=[], refused=[], predictions=[])) for o in mine}
        if by_name:
            ended += f"rows of files that nobody landed: {sorted(by_name)[:5]}"
        yield Streamed(kind, found, mine, ended)


def register_model(kind: Kind, uri: str) -> str:
    """The URI of the feed's model in a registry."""
    registry = open_registry(load_settings(flags={"registry.tracking_uri": uri}))
    feed = Feed.model_validate(kind.document())
    experiment = registry.experiment("pollute")
    with registry.active() as mlflow, mlflow.start_run(experiment_id=experiment) as run:
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).parent / "weighed.py"),
            signature=signature_of(feed),
            input_example=pd.DataFrame({column.name: [1.0, 2.0] for column in feed.features}),
            pip_requirements=[f"{package}=={version(package)}" for package in ("mlflow", "pandas")],
        )
        return f"models:/pollute/{registry.add_version('pollute', logged.model_id, run.info.run_id, {})}"


def _places(mine: Sequence[Outcome], setting: Setting, folder: Path) -> Mapping[str, str]:
    name = mine[0].kind.name
    landing = mine[0].path.parents[mine[0].source_file.count("/")]
    local = {"landing": str(landing), "tables": f"{folder}/tables/{name}", "checkpoint": f"{folder}/checkpoints/{name}"}
    prefix = f"s3://{BUCKET}/{setting.mode}/{name}"
    return local | ({"landing": f"{prefix}/landing", "tables": f"{prefix}/tables"} if setting.store else {})


def _is_put(outcome: Outcome, setting: Setting) -> bool:
    """Put a file into the bucket; False for what a bucket cannot have."""
    if outcome.placed not in ("written", "a hard link"):
        return False
    key = f"{setting.mode}/{outcome.kind.name}/landing/{outcome.source_file}"
    assert setting.store is not None
    setting.store.client.put_object(Bucket=BUCKET, Key=key, Body=outcome.path.read_bytes())
    return True


def _run(kind: Kind, model: str, setting: Setting, where: tuple[str, Mapping[str, str], float]) -> str:
    """Catch up with one feed; empty, or how it ended."""
    uri, places, seconds = where
    flags: dict[str, Any] = {
        "landing": places["landing"],
        "tables.path": places["tables"],
        "checkpoint": places["checkpoint"],
        "registry.tracking_uri": uri,
        "model_uri": model,
        "streaming.mode": setting.mode,
        "streaming.trigger": "available-now",
        "streaming.max_files": MAX_FILES,
    }
    if setting.store:
        flags |= {"storage.endpoint": setting.store.endpoint, "storage.path_style": True}
    try:
        run = open_run(Feed.model_validate(kind.document()), load_settings(flags=flags))
        watch = threading.Timer(seconds, run.stop.ask)
        watch.start()
        stream_until_stopped(run, setting.spark)
    except Exception as error:
        return f"{kind.name}: {type(error).__name__}: {error}"
    hangs = not watch.is_alive()
    watch.cancel()
    return f"{kind.name}: did not end in {seconds:.0f} s" if hangs else ""


def _read(kind: Kind, setting: Setting, places: Mapping[str, str]) -> Mapping[str, Found]:
    """source_file → its rows and rejects, as any reader of Delta tables sees them."""
    found: dict[str, Found] = {}

    def of(name: str) -> Found:
        return found.setdefault(name, Found(lines=[], refused=[], predictions=[]))

    columns = [snake_case(name) for name in kind.names]
    for row in _table(f"{places['tables']}/predictions", setting).to_pylist():
        one = of(row["source_file"])
        one.rows.append(tuple(row[column] for column in columns))
        one.lines.append(row["source_line"])  # type: ignore[union-attr]
        one.predictions.append(row["prediction"])  # type: ignore[union-attr]
    for row in _table(f"{places['tables']}/quarantine", setting).to_pylist():
        of(row["source_file"]).refused.append((row["source_line"], row["reason"], row["rows"]))  # type: ignore[union-attr]
    return found


def _table(uri: str, setting: Setting) -> Any:
    options = None
    files: Any = LocalFileSystem()
    if store := setting.store:
        storage = Storage(endpoint=store.endpoint, region=REGION, path_style=True)
        options, files = delta_options(storage), arrow_file_system(storage)
    if not DeltaTable.is_deltatable(uri, options):
        return pa.table({})
    root = SubTreeFileSystem(uri.removeprefix("s3://"), files)
    return DeltaTable(uri, storage_options=options).to_pyarrow_dataset(filesystem=root).to_table()
