"""The working folders that pages start from, each made once: new, with a trained model, with a finished stream.

All pages run at one path, since a registry knows its artifacts by their whole path. What was prepared is kept beside
it and copied there.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.registry.registry import open_registry
from tests.docs.run_blocks import ROOT, SECONDS, environment
from tests.support.new_database import new_database
from tests.support.register_kit import a_version

SAMPLE = "streamscore sample wine_quality --rows 300 --files 4 --bad 0.05 --seed 7"
STREAM = "streamscore run wine_quality --trigger available-now"


def new_folder(work: Path) -> None:
    """What a reader has who cloned the project: feeds, profiles, examples and the environment."""
    work.mkdir()
    (work / "schemas").mkdir()
    for path in (ROOT / "schemas").glob("*.yaml"):
        shutil.copy(path, work / "schemas")
    for name in ("conf", "examples"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    (work / ".venv").symlink_to(Path(sys.executable).parents[1])


class Folders:
    """Makes the one working folder anew for each page."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.work = home / "work"

    def start(self, start: str) -> Path:
        """The working folder as a page with that `start` finds it."""
        kept = self.home / start
        if not kept.exists():
            if start == "fresh":
                self._clear()
                new_folder(self.work)
            else:
                self.start({"trained": "fresh", "streamed": "trained"}[start])
                {"trained": self._train, "streamed": self._stream}[start]()
            shutil.copytree(self.work, kept, symlinks=True)
        self._clear()
        shutil.copytree(kept, self.work, symlinks=True)
        return self.work

    def _clear(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    def _train(self) -> None:
        (self.work / "var").mkdir()
        uri = new_database(self.work / "var")
        registry = open_registry(load_settings(flags={"registry.tracking_uri": uri}))
        a_version(load_feed("wine_quality"), registry, alpha=0.3, promote=True)
        self._shell("streamscore train wine_quality --promote")

    def _stream(self) -> None:
        self._shell(f"{SAMPLE}; {STREAM}")

    def _shell(self, commands: str) -> None:
        """Run commands in the working folder; what they print is shown if they fail."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.work,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
