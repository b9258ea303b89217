"""`make pollute`: make the files, read them in every way, hold each row against its outcome, print the table."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found, Verdict
from benchmarks.pollute.kinds import KINDS
from benchmarks.pollute.library import read_outcomes
from benchmarks.pollute.make import make
from benchmarks.pollute.others import (
    Read,
    WithSpark,
    as_asked,
    read_each,
    with_duckdb,
    with_duckdb_rejects,
    with_pandas,
)
from benchmarks.pollute.report import table
from benchmarks.pollute.streams import Setting, stream
from schemas.settings import load_settings
from services.programs import missing
from services.start import Services
from streamscore.spark.session import start_session

STREAMS = {
    "driver": "streamscore, in the driver, folders",
    "executors": "streamscore, on executors, folders",
    "driver-bucket": "streamscore, in the driver, a bucket",
    "executors-bucket": "streamscore, on executors, a bucket",
}
OTHERS = {
    "reading": "streamscore's reading alone, without a stream",
    "spark": "Spark CSV",
    "spark-corrupt": "Spark CSV with `columnNameOfCorruptRecord`",
    "pandas": "pandas",
    "duckdb": "DuckDB",
    "duckdb-rejects": "DuckDB with `store_rejects`",
}
_READERS: dict[str, Read] = {"pandas": with_pandas, "duckdb": with_duckdb, "duckdb-rejects": with_duckdb_rejects}
SECONDS = 240.0  # for one feed; a stream that takes longer hangs
EXAMPLES = 200  # of each feed, in results.json


def main() -> int:
    """Measure the parts, each in a process of its own; 1 if a stream broke a promise, or a part did not end."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = Path("var/pollute").absolute()
    out.mkdir(parents=True, exist_ok=True)
    about = {"files": arguments.files, "seed": arguments.seed, "wine": str(arguments.wine)}
    if arguments.alone:
        measure_alone(arguments, out, about)
        return 0
    failed = [part for part in arguments.parts if _in_own_process(part)]
    kept = kept_before(out / "results.json", about)["parts"]
    lines = [*table(kept, STREAMS | OTHERS)]
    (out / "results.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    ours = [found for part in STREAMS for found in kept.get(part, {}).values()]
    broken = [f"part {part} did not end well" for part in failed]
    broken += [*(example for one in ours for example in one["examples"]), *(one["how"] for one in ours if one["how"])]
    print("".join(f"pollute: {example}\n" for example in broken), end="", file=sys.stderr)
    return 1 if broken else 0


def _in_own_process(part: str) -> int:
    """Measure a part; its exit code. The JVM of one part has neither the settings nor the credentials of another."""
    options = [word for word in sys.argv[1:] if word not in STREAMS | OTHERS]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.pollute", part, "--alone", *options])
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()  # its servers end with it
            process.wait()


def measure_alone(arguments: argparse.Namespace, out: Path, about: Mapping[str, Any]) -> None:
    """Measure the parts in this process, and keep what was found."""
    with tempfile.TemporaryDirectory(dir=out, prefix="scratch-", ignore_cleanup_errors=True) as scratch:
        outcomes = make(Path(scratch) / "files", arguments.files, arguments.seed, arguments.wine)
        outcomes = [one for one in outcomes if not arguments.feeds or one.kind.name in arguments.feeds]
        for part in arguments.parts:
            for name, feed, found in measure(part, outcomes, Path(scratch)):
                print(f"pollute: {name}: {feed}: {found['files']} files, {found['wrong']} rows wrong", file=sys.stderr)
                keep(out / "results.json", about, (name, feed), found)


def keep(path: Path, about: Mapping[str, Any], measured: tuple[str, str], found: Mapping[str, Any]) -> None:
    """Write what was found of a part and a feed beside what was measured with the same files before."""
    results = kept_before(path, about)
    part, feed = measured
    results["parts"].setdefault(part, {})[feed] = found
    path.write_text(json.dumps(results, indent=1), "utf-8")


def kept_before(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured with the same files; `parts` has part → feed → what was found."""
    if path.exists() and (before := json.loads(path.read_text("utf-8")))["about"] == about:
        return dict(before)
    return {"about": about, "parts": {}}


def parse() -> argparse.Namespace:
    """The arguments."""
    known = [part for part in STREAMS | OTHERS if part != "spark-corrupt"]
    feeds = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pollute", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; none: all of them")
    parser.add_argument("--feeds", nargs="+", choices=feeds, default=[], metavar="FEED", help=f"of {', '.join(feeds)}")
    parser.add_argument("--files", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wine", type=Path, help="real wines, as `streamscore fetch` writes them; none: made ones")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # all parts in this process, no table
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


def measure(part: str, outcomes: Sequence[Outcome], scratch: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """One part: part, feed, and what was found, as it is kept. Spark's files are read once for both of its parts."""
    if part in STREAMS:
        yield from measure_streams(part, outcomes, scratch)
        return
    with contextlib.ExitStack() as stack:
        read: Callable[[Sequence[Outcome]], Mapping[Path, Found]] = read_outcomes
        if part == "spark":
            read = stack.enter_context(contextlib.closing(WithSpark()))
        elif part in _READERS:
            read = partial(read_each, read=_READERS[part])
        for kind in KINDS:
            if part == "spark" and kind.encoding == "utf-16":
                continue  # asked for lines, it leaves half a line end in each; that would count against it alone
            taken = [outcome for outcome in outcomes if outcome.is_taken and outcome.kind is kind]
            found = read(taken)
            yield part, kind.name, judged(taken, found)
            if part == "spark":
                asked = {path: as_asked(one) for path, one in found.items()}
                yield "spark-corrupt", kind.name, judged(taken, asked)


def measure_streams(part: str, outcomes: Sequence[Outcome], scratch: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The streams of all feeds in one setting."""
    mode, folder = part.partition("-")[0], scratch / part
    with contextlib.ExitStack() as stack:
        store = None
        if part.endswith("bucket"):
            servers = scratch / f"services-{part}"
            servers.mkdir()
            store = stack.enter_context(Services(servers)).object_store("minio")
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = store.access_key, store.secret_key
        spark = start_session(load_settings(flags={"spark.master": "local[2]"}), f"pollute {part}")
        stack.callback(spark.stop)
        for streamed in stream(outcomes, Setting(part, mode, spark, store), folder, SECONDS):
            verdict = judged(streamed.landed, streamed.found)
            yield (
                part,
                streamed.kind.name,
                verdict | {"runs": 1, "ended_runs": int(bool(streamed.ended)), "how": streamed.ended},
            )


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
