"""`make bench`: measure the parts, keep all raw figures, write the tables and the pictures, print them."""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import Bench, prepare
from benchmarks.plots import draw
from benchmarks.report import page
from benchmarks.roster import LEFT_OUT
from benchmarks.sizes import ALONE, KINDS, MINUTES

PACKAGES = ("pyspark", "delta-spark", "mlflow", "deltalake", "pyarrow", "pandas", "scikit-learn", "numpy")


def main() -> int:
    """Measure; 1 if a part did not work, whatever the times."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contestants are ended
    out = Path("var/bench").absolute()
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=out, prefix="scratch-", ignore_cleanup_errors=True) as scratch:
        bench = prepare(Path(scratch), KINDS[arguments.size], tuple(arguments.only))
        run = Run(bench, arguments.size, out)
        run.results["seconds"]["models"] = time.monotonic() - begun
        run.measure(arguments.parts)
    run.results["seconds"]["all"] = time.monotonic() - begun
    run.keep()
    print((out / "results.md").read_text("utf-8"))
    for part, why in run.results["failed"].items():
        print(f"bench: {part} did not work: {why}", file=sys.stderr)
    return 1 if run.results["failed"] else 0


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(MINUTES)}; none: all but {', '.join(ALONE)}"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="CONTESTANT", help="no others")
    parser.add_argument("--size", choices=sorted(KINDS), default="default")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(MINUTES)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(MINUTES)}")
    beside = () if arguments.size == "smoke" else ALONE
    arguments.parts = arguments.parts or [part for part in MINUTES if part not in beside]
    return arguments


class Run:
    """One run of some parts; what was measured is on the disk after each of them.

    Attributes:
        results: of the whole run, as they are kept.
    """

    def __init__(self, bench: Bench, size: str, out: Path) -> None:
        self._bench, self._out, self._one = bench, out, threading.Lock()
        self.results: dict[str, Any] = {
            "size": size,
            "machine": machine(),
            "parts": {},
            "seconds": {},
            "failed": {},
            "left_out": {},
        }

    def measure(self, parts: Sequence[str]) -> None:
        """All of them, one after the other unless the sizes say otherwise."""
        if self._bench.sizes.at_once == 1:
            for part in parts:
                self._measure(part)
            return
        with ThreadPoolExecutor(self._bench.sizes.at_once) as pool:
            try:
                waiting = {pool.submit(self._measure, part) for part in parts}
                while waiting:  # with a time limit, as a signal does not end a wait without one
                    waiting = wait(waiting, timeout=0.5).not_done
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._bench.stop()  # what waits for a contestant sees that it has ended
                raise

    def _measure(self, part: str) -> None:
        """One part; what does not work is told, and the others go on."""
        print(f"bench: {part}", file=sys.stderr)
        begun = time.monotonic()
        try:
            found = importlib.import_module(f"benchmarks.parts.{part}").measure(self._bench)
        except Exception as error:  # of a contestant, a server, the disk
            self.results["failed"][part] = f"{type(error).__name__}: {error}"
        else:
            self.results["parts"][part] = found
        self.results["seconds"][part] = time.monotonic() - begun
        print(f"bench: {part} took {self.results['seconds'][part]:.0f} s", file=sys.stderr)
        self.keep()

    def keep(self) -> None:
        """Raw figures, page and pictures."""
        with self._one:
            self.results["left_out"] = LEFT_OUT | self._bench.left_out
            (self._out / "results.json").write_text(json.dumps(self.results, indent=1), "utf-8")
            (self._out / "results.md").write_text(page(self.results), "utf-8")
            draw(self.results["parts"], self._out)


def machine() -> dict[str, Any]:
    """What it runs on, and the versions of what matters."""
    versions = {name: version(name) for name in PACKAGES}
    memory = psutil.virtual_memory().total / 2**30
    system = (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}, {java()}"
    )
    return {"line": f"{system}, " + ", ".join(f"{name} {number}" for name, number in versions.items()), **versions}


def java() -> str:
    """The first line of what it says of itself."""
    program = str(Path(os.environ["JAVA_HOME"], "bin/java")) if os.environ.get("JAVA_HOME") else "java"
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    return "Java " + (said.split('"')[1] if '"' in said else "of unknown version")


if __name__ == "__main__":
    sys.exit(main())
