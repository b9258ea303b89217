"""What a model version was made of: data, feed, settings and code, in tags of the version."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schemas.feed import Feed

ROOT = Path(__file__).parents[2]
CODE = ("schemas", "streamscore", "training")  # what a trained model depends on

MADE_UP = "sample("  # how the source of generated rows begins: no place that MLflow could look at
FEED = "streamscore.feed"
DATA_SOURCE = "streamscore.data_source"
DATA_DIGEST = "streamscore.data_digest"
DATA_ROWS = "streamscore.data_rows"
SPLIT = "streamscore.split"  # JSON: how it was split, and the rows of each part
CODE_VERSION = "streamscore.code_version"
FEED_DIGEST = "streamscore.feed_digest"
SETTINGS_DIGEST = "streamscore.settings_digest"
KEY = "streamscore.training_key"
GATE = "streamscore.gate"  # passed or rejected
GATE_AGAINST = "streamscore.gate_against"  # the version that was in Production; empty: none
GATE_REASONS = "streamscore.gate_reasons"  # a line each
CHECK = "streamscore.check"  # passed or failed; not there: not checked
CHECK_REASONS = "streamscore.check_reasons"
GATE_FILE = "gate.json"  # an artifact of the run


@dataclass(frozen=True, slots=True)
class Provenance:
    """What goes into a training run; digests are SHA-256, hexadecimal.

    Attributes:
        data_source: a path, or how the rows were made.
        feed_digest: of the feed, as `feed_digest` gives it.
        settings_digest: of the training settings.
        code_version: for people; `code_digest` tells code from code.
    """

    feed: str
    data_source: str
    data_digest: str
    data_rows: int
    feed_digest: str
    settings_digest: str
    code_version: str
    code_digest: str

    @property
    def key(self) -> str:
        """A digest: equal where data, feed, settings and code are, wherever the data lie."""
        made_of = self.data_digest, self.feed_digest, self.settings_digest, self.code_digest
        return hashlib.sha256("\n".join(made_of).encode()).hexdigest()

    @property
    def made_up(self) -> bool:
        """Of generated rows."""
        return self.data_source.startswith(MADE_UP)

    @staticmethod
    def is_made_up(tags: Mapping[str, str]) -> bool:
        """Whether a version with these tags is of generated rows; one that says nothing is not."""
        return tags.get(DATA_SOURCE, "").startswith(MADE_UP)

    def to_tags(self) -> dict[str, str]:
        """Tags of the run and of the version."""
        return {
            FEED: self.feed,
            DATA_SOURCE: self.data_source,
            DATA_DIGEST: self.data_digest,
            DATA_ROWS: str(self.data_rows),
            CODE_VERSION: self.code_version,
            FEED_DIGEST: self.feed_digest,
            SETTINGS_DIGEST: self.settings_digest,
            KEY: self.key,
        }


def feed_digest(feed: Feed) -> str:
    """SHA-256 of the feed as canonical JSON, keys sorted; what is left at its default does not count."""
    return digest_of(feed.model_dump(mode="json", exclude_defaults=True))


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def code_version() -> str:
    """The version of streamscore, and in a checkout its commit: `0.1.0+3f92783a1b2c`, `.dirty` if it was changed."""
    try:
        package = version("streamscore")
    except PackageNotFoundError:
        package = "0"
    commit = _git("rev-parse", "--short=12", "HEAD") if (ROOT / ".git").exists() else ""
    if not commit:
        return package
    return f"{package}+{commit}" + (".dirty" if _git("status", "--porcelain", "--", "jobs", *CODE) else "")


def code_digest() -> str:
    """SHA-256 over the Python files that make a model, and their names; other commits may leave it as it is."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
