"""How much memory a loaded model takes."""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = 4096
BESIDE = 200_000  # bytes of what MLflow and we keep beside each model: signature, metadata, contract


def bytes_of(model: Any) -> int:
    """Bytes of what a pickle of the model would hold; arrays are counted where they are, and nothing is kept.

    A pickle walks all that the model refers to, of extension types too, and each object once.

    Raises:
        Exception: the model cannot be pickled.
    """
    counted = _Counter()
    pickle.Pickler(counted, 5, buffer_callback=counted.add).dump(model)
    return counted.size + BESIDE


def bytes_of_files(paths: Iterable[Path]) -> int:
    """For what cannot be pickled."""
    return sum(path.stat().st_size for path in paths if path.is_file()) + BESIDE


def bytes_of_process(number: int) -> int:
    """Memory of a process that it shares with no other; 0 where the system does not say."""
    try:
        resident, shared = Path(f"/proc/{number}/statm").read_text().split()[1:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * PAGE


class _Counter:
    """A file that keeps nothing but its length."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        self.size += size
        return size

    def add(self, buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as raw:
            self.size += raw.nbytes
        return False  # it need not be written
