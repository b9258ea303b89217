"""`make bench`: rename → visible commit and command → first prediction, side by side in one run; a table and JSON."""

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from services import Services, missing

from benchmarks.harness import FEED, Contestant, StoreContestant
from schemas.feed import load_feed
from schemas.registry import open_registry
from schemas.settings import load_settings
from training.pipeline import train
from training.sample import sample
from training.settings import load_training_settings
from training.tabular import Source

ROUNDS = int(os.environ.get("ROUNDS", "6"))
FILES = {"article": 5}  # a round; it takes seconds each
MANY = 50
ROWS = 100


def main() -> None:
    """Measure, print, and keep the figures in var/bench."""
    out = Path("var/bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, Services(Path(scratch)) as services:
        contestants, text = prepare(Path(scratch), services)
        try:
            for contestant in contestants:
                contestant.start(text)
                contestant.turn(text, 5)
            for number in range(ROUNDS):
                print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
                for contestant in contestants:
                    contestant.turn(text, FILES.get(contestant.name, MANY))
        finally:
            for contestant in contestants:
                if contestant.process:
                    contestant.stop()
    print(table(contestants))
    figures = {c.name: {"first_s": c.first, "waits_ms": [1000 * w for w in c.waits]} for c in contestants}
    (out / "latency.json").write_text(json.dumps({"machine": machine(), "contestants": figures}, indent=1))


def prepare(scratch: Path, services: Services) -> tuple[list[Contestant], bytes]:
    """A trained model, one file's text, and the contestants."""
    tracking = f"sqlite:///{scratch}/mlflow.db"
    registry = open_registry(load_settings(flags={"registry.tracking_uri": tracking}))
    train(load_feed(FEED), Source(), registry, load_training_settings(FEED), promote=True)
    text = sample(load_feed(FEED), ROWS, 1, scratch / "made").paths[0].read_bytes()
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "STREAMSCORE_LANDING": "landing",
        "STREAMSCORE_TABLES__PATH": "tables",
        "STREAMSCORE_CHECKPOINT": "checkpoint",
    }
    uri = f"models:/{FEED}@production"
    made = [
        Contestant("streamscore", [sys.executable, "-m", "jobs.cli", "run", FEED], scratch / "streamscore", environment)
    ]
    for name in ("article", "loop"):
        script = Path(__file__).parent / "contestants" / f"{name}.py"
        command = [sys.executable, str(script), "landing", "tables", uri]
        made.append(Contestant(name, command, scratch / name, environment))
    if lacking := missing("minio"):
        print(f"left out: streamscore on an object store: {lacking}", file=sys.stderr)
    else:
        made.append(on_store(scratch, services, environment))
    return made, text


def on_store(scratch: Path, services: Services, environment: dict[str, str]) -> StoreContestant:
    """Landing folder and tables in MinIO on loopback, the checkpoint local."""
    store = services.object_store("minio")
    store.make_bucket("bench")
    places = {
        "STREAMSCORE_LANDING": "s3://bench/landing",
        "STREAMSCORE_TABLES__PATH": "s3://bench/tables",
        "STREAMSCORE_STORAGE__ENDPOINT": store.endpoint,
        "STREAMSCORE_STORAGE__PATH_STYLE": "true",
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
    }
    command = [sys.executable, "-m", "jobs.cli", "run", FEED]
    folder = scratch / "on_store"
    return StoreContestant(
        "streamscore, object store", command, folder, environment | places, client=store.client, bucket="bench"
    )


def table(contestants: list[Contestant]) -> str:
    """Markdown: medians with spread, and the ratio to each other contestant."""
    ours = contestants[0]
    lines = [
        f"{machine()}; {ROWS}-row files, one a micro-batch",
        "",
        "| | rename or PUT → visible commit p50 | p90 | p99 | files | against ours | command → first prediction |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in contestants:
        figures = f"{c.median():.0f} ms | {c.steady(0.9):.0f} ms | {c.steady(0.99):.0f} ms | {len(c.waits)}"
        lines.append(f"| {c.name} | {figures} | {c.median() / ours.median():.2f} × | {c.first:.1f} s |")
    return "\n".join(lines)


def machine() -> str:
    """What it ran on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "mlflow", "deltalake", "delta-spark"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    main()
