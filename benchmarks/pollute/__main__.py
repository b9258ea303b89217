"""`make pollute`: make the files, read them in every way, hold each row against its outcome, print the table."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found, Verdict
from benchmarks.pollute.make import make
from benchmarks.pollute.others import WithSpark, read_each, with_duckdb, with_duckdb_rejects, with_pandas
from benchmarks.pollute.report import table
from benchmarks.pollute.streams import Setting, stream
from services.programs import missing
from services.start import Services

STREAMS = {
    "driver": "streamscore, in the driver, folders",
    "executors": "streamscore, on executors, folders",
    "driver-bucket": "streamscore, in the driver, a bucket",
    "executors-bucket": "streamscore, on executors, a bucket",
}
OTHERS = {
    "spark": "Spark CSV",
    "spark-corrupt": "Spark CSV with `columnNameOfCorruptRecord`",
    "pandas": "pandas",
    "duckdb": "DuckDB",
    "duckdb-rejects": "DuckDB with `store_rejects`",
}
SECONDS = 240.0  # for one feed; a stream that takes longer hangs
EXAMPLES = 200  # of each part, in results.json


def main() -> int:
    """Measure the parts; 1 if a stream broke a promise."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = Path("var/pollute").absolute()
    out.mkdir(parents=True, exist_ok=True)
    about = {"files": arguments.files, "seed": arguments.seed, "wine": str(arguments.wine)}
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=out, prefix="scratch-", ignore_cleanup_errors=True) as scratch:
        outcomes = make(Path(scratch) / "files", arguments.files, arguments.seed, arguments.wine)
        for part in arguments.parts:
            begun = time.monotonic()
            found = measure(part, outcomes, Path(scratch))
            kept = keep(out / "results.json", about, part, found | {"seconds": time.monotonic() - begun})
    lines = [*table(kept, STREAMS | OTHERS)]
    (out / "results.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    ours = [kept[part] for part in STREAMS if part in kept]
    broken = [example for one in ours for example in one["examples"]]
    print("".join(f"pollute: {example}\n" for example in broken), end="", file=sys.stderr)
    return 1 if broken or any(one["ended_runs"] for one in ours) else 0


def keep(path: Path, about: Mapping[str, Any], part: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Write the result of a part beside those that were measured with the same files; all of them."""
    results: dict[str, Any] = {"about": about, "parts": {}}
    if path.exists() and (before := json.loads(path.read_text("utf-8")))["about"] == about:
        results = before
    results["parts"][part] = found
    path.write_text(json.dumps(results, indent=1), "utf-8")
    parts: dict[str, Any] = results["parts"]
    return parts


def parse() -> argparse.Namespace:
    """The arguments."""
    known = [*STREAMS, *OTHERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pollute", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; none: all of them")
    parser.add_argument("--files", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wine", type=Path, help="real wines, as `streamscore fetch` writes them; none: made ones")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(known)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(known)}")
    arguments.parts = arguments.parts or [part for part in known if not _lacking(part)]
    return arguments


def _lacking(part: str) -> str:
    """Why a part cannot be measured here; empty: it can."""
    why = missing("minio") if part.endswith("bucket") else None
    if why:
        print(f"pollute: {part} is left out: {why}", file=sys.stderr)
    return why or ""


def measure(part: str, outcomes: Sequence[Outcome], scratch: Path) -> dict[str, Any]:
    """One part, as it is kept."""
    print(f"pollute: {part}", file=sys.stderr)
    if part not in OTHERS:
        return measure_stream(part, outcomes, scratch)
    taken = [outcome for outcome in outcomes if outcome.is_taken]
    if part.startswith("spark"):
        spark = WithSpark(tells=part == "spark-corrupt")
        try:
            return judged(taken, read_each(taken, spark))
        finally:
            spark.stop()
    reader = {"pandas": with_pandas, "duckdb": with_duckdb, "duckdb-rejects": with_duckdb_rejects}[part]
    return judged(taken, read_each(taken, reader))


def measure_stream(part: str, outcomes: Sequence[Outcome], scratch: Path) -> dict[str, Any]:
    """The streams of all feeds in one setting."""
    mode, folder = part.partition("-")[0], scratch / part
    if part.endswith("bucket"):
        with Services(scratch / f"services-{part}") as services:
            streamed = stream(outcomes, Setting(part, mode, services.object_store("minio")), folder, SECONDS)
    else:
        streamed = stream(outcomes, Setting(part, mode), folder, SECONDS)
    for name, how in streamed.ended.items():
        print(f"pollute: the stream of {name} ended: {how}", file=sys.stderr)
    kinds = {outcome.kind.name for outcome in streamed.landed}
    shutil.rmtree(folder, ignore_errors=True)
    return judged(streamed.landed, streamed.found) | {"ended_runs": len(streamed.ended), "runs": len(kinds)}


def judged(outcomes: Sequence[Outcome], found: Mapping[Path, Found]) -> dict[str, Any]:
    """The verdict on all files."""
    verdict = Verdict()
    for outcome in outcomes:
        verdict.add(outcome, found[outcome.path])
    errors = [
        f"{o.kind.name} ({'; '.join(o.pollutions)}): {found[o.path].error}" for o in outcomes if found[o.path].error
    ]
    kept = asdict(verdict)
    return kept | {"examples": kept["examples"][:EXAMPLES], "errors": errors[:EXAMPLES]}


if __name__ == "__main__":
    sys.exit(main())
