"""How each contestant is started, and why one cannot be."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.contestants.streamscore import PLACES, VARIANTS
from benchmarks.sizes import FAST, PACE, ROOT

FEED = "wine_quality"
OF_THEIR_OWN = ("bytewax", "pathway")  # not in the project's lock
# what is left out for another reason than that it is not installed
LEFT_OUT = {
    "pathway, its own Delta output": "pathway.io.deltalake.write wants a licence key (free, for a sign-up); "
    "without one it raises RuntimeError. Measured instead: pathway.io.subscribe and deltalake",
    "quixstreams": "every application of it reads from Kafka, and there is no broker here",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant, as its users would start it, for one model.

    Attributes:
        pace: how long a batch takes it, and so how many it gets.
        lacking: why it cannot be started; empty: it can.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    pace: str = FAST
    lacking: str = ""


def entry(name: str, model_uri: str, max_files: int = 0) -> Entry:
    """The contestant of that name.

    Args:
        max_files: of a micro-batch; 0: as many as it takes by itself.
    """
    pace = PACE.get(name, FAST)
    if name in VARIANTS:
        command = [sys.executable, "-m", "jobs.cli", "run", FEED, "--model-uri", model_uri]
        command += ["--max-files", str(max_files)] if max_files else []
        return Entry(name, tuple(command), PLACES | VARIANTS[name], pace)
    python, lacking = sys.executable, ""
    if name in OF_THEIR_OWN:
        python = str(ROOT / ".tools" / name / "bin" / "python")
        if not (ROOT / ".tools" / name / ".lock").exists():
            lacking = f"found no .tools/{name}; make it: benchmarks/libraries/install.sh {name}"
    command = [python, "-m", f"benchmarks.contestants.{name}", "landing", "tables", model_uri, str(max_files)]
    return Entry(name, tuple(command), {}, pace, lacking)
