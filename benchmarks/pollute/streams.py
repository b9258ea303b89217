"""The polluted files through `streamscore run`, a process for each feed: in the driver or on executors, from folders
or a bucket.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found
from benchmarks.pollute.kinds import KINDS, Kind
from schemas.feed import Feed, snake_case
from schemas.settings import Storage, load_settings
from services.object_store import REGION, ObjectStore
from streamscore.registry.registry import open_registry
from streamscore.storage.object_store import arrow_file_system, delta_options
from training.fitting.log_model import signature_of

BUCKET = "pollute"
MAX_FILES = 100  # of a micro-batch, so that a feed has some


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run a stream.

    Attributes:
        mode: where rows are scored, `driver` or `executors`.
        store: the bucket's, with landing folder and tables in it; None: both are folders.
    """

    name: str
    mode: str
    store: ObjectStore | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """What the streams made of the files.

    Attributes:
        found: by path.
        landed: the files that could be landed; a bucket has no links and no times.
        ended: feed → exit code and the end of the log, of streams that did not end with 0.
    """

    found: Mapping[Path, Found]
    landed: Sequence[Outcome]
    ended: Mapping[str, str]


def stream(outcomes: Sequence[Outcome], setting: Setting, folder: Path, seconds: float) -> Streamed:
    """Land all files, catch up with each feed, and read its tables.

    Args:
        folder: of this setting, new.
        seconds: after which a stream that has not ended counts as hanging.
    """
    uri = f"sqlite:///{folder}/mlflow.db"
    folder.mkdir(parents=True)
    models = register_models(uri)
    if setting.store:
        setting.store.make_bucket(BUCKET)
    found: dict[Path, Found] = {}
    landed: list[Outcome] = []
    ended: dict[str, str] = {}
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.kind is kind]
        if not mine:
            continue
        places = _places(mine, setting, folder)
        if setting.store:
            mine = [one for one in mine if _is_put(one, setting)]
        if why := _run(kind, models[kind.name], setting, (folder, uri, places, seconds)):
            ended[kind.name] = why
        by_name = _read(kind, setting, places)
        nothing = [outcome for outcome in mine if outcome.source_file not in by_name]
        found |= {o.path: by_name.get(o.source_file, Found(lines=[], refused=[], predictions=[])) for o in mine}
        landed += mine
        print(
            f"pollute: {setting.name}: {kind.name}: {len(mine)} files, {len(nothing)} without a trace", file=sys.stderr
        )
    return Streamed(found, landed, ended)


def register_models(uri: str) -> Mapping[str, str]:
    """Feed → the URI of its model."""
    registry = open_registry(load_settings(flags={"registry.tracking_uri": uri}))
    experiment = registry.experiment("pollute")
    made = {}
    for kind in KINDS:
        feed = Feed.model_validate(kind.document())
        example = pd.DataFrame({column.name: [1.0, 2.0] for column in feed.features})
        with registry.active() as mlflow, mlflow.start_run(experiment_id=experiment) as run:
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).parent / "weighed.py"),
                signature=signature_of(feed),
                input_example=example,
                pip_requirements=[f"{package}=={version(package)}" for package in ("mlflow", "pandas")],
            )
            number = registry.add_version("pollute", logged.model_id, run.info.run_id, {})
        made[kind.name] = f"models:/pollute/{number}"
    return made


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


def _run(kind: Kind, model: str, setting: Setting, where: tuple[Path, str, Mapping[str, str], float]) -> str:
    """Catch up with one feed; empty, or how it ended."""
    folder, uri, places, seconds = where
    (folder / "schemas").mkdir(exist_ok=True)
    document = yaml.safe_dump(kind.document(), allow_unicode=True, sort_keys=False)
    (folder / "schemas" / f"{kind.name}.yaml").write_text(document, "utf-8")
    command = [sys.executable, "-m", "jobs.cli", "run", kind.name, "--model-uri", model, "--mode", setting.mode]
    command += ["--trigger", "available-now", "--max-files", str(MAX_FILES), "--clean", "off"]
    command += [f"--{place}={where}" for place, where in places.items()]
    variables = {"STREAMSCORE_REGISTRY__TRACKING_URI": uri, "STREAMSCORE_SPARK__MASTER": "local[2]"}
    variables |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    if setting.store:
        variables |= {
            "AWS_ACCESS_KEY_ID": setting.store.access_key,
            "AWS_SECRET_ACCESS_KEY": setting.store.secret_key,
            "STREAMSCORE_STORAGE__ENDPOINT": setting.store.endpoint,
            "STREAMSCORE_STORAGE__PATH_STYLE": "true",
        }
    log = folder / f"{kind.name}.log"
    with log.open("wb") as file:
        try:
            ended = subprocess.run(
                command, env=os.environ | variables, cwd=folder, stdout=file, stderr=file, timeout=seconds, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return f"did not end in {seconds:.0f} s; {log}"
    return f"exit code {ended}: {log.read_text('utf-8', 'replace')[-500:]}" if ended else ""


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
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = store.access_key, store.secret_key
        options, files = delta_options(storage), arrow_file_system(storage)
    if not DeltaTable.is_deltatable(uri, options):
        return pa.table({})
    root = SubTreeFileSystem(uri.removeprefix("s3://"), files)
    return DeltaTable(uri, storage_options=options).to_pyarrow_dataset(filesystem=root).to_table()
