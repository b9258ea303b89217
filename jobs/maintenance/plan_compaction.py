"""Which small files of a table become one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MEMORY = 128 * 2**20  # bytes of Arrow memory in what becomes one file: bounds what compaction holds
SMALL = 0.25  # of a whole file: from there on a file is left alone
FEWEST = 4  # files that are worth a commit
MOST = 1000  # files of one commit: its log entry, which every reader takes in, is 0.2 MB then


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a table.

    Attributes:
        size: bytes.
        modified: milliseconds since 1970.
        rows: None where its statistics do not say.
    """

    path: str
    size: int
    modified: int
    rows: int | None


def plan(files: Sequence[DataFile], target_bytes: int, row_bytes: float = 0.0) -> Iterator[list[DataFile]]:
    """Groups of small files, oldest first, each of which becomes one file.

    A file that outweighs all others of its group is left for a later one, so that a row is written again only when
    what it lies in has doubled: about log2(target / first size) times in its life.

    Args:
        target_bytes: of a whole file.
        row_bytes: of a row in memory: a table whose rows take little room in files is not to be read at once.
    """

    def weight(file: DataFile) -> float:
        return max(file.size / target_bytes, (file.rows or 0) * row_bytes / MEMORY)

    group: list[DataFile] = []
    filled = 0.0
    small = sorted((f for f in files if weight(f) < SMALL), key=lambda file: (file.modified, file.path))
    for file in small:
        if group and (filled + weight(file) > 1 or len(group) == MOST):
            yield from _worth(group)
            group, filled = [], 0.0
        group.append(file)
        filled += weight(file)
    yield from _worth(group)


def _worth(group: list[DataFile]) -> Iterator[list[DataFile]]:
    """The group without what outweighs all its others; none if too few are left."""
    group, size = list(group), sum(file.size for file in group)
    while group and 2 * (largest := max(group, key=lambda file: file.size)).size > size:
        group.remove(largest)
        size -= largest.size
    if len(group) >= FEWEST:
        yield group
