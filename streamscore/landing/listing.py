"""The files in a landing folder or bucket as they are now, settled or not."""

from collections.abc import Iterator

from schemas.dialect import ENDINGS
from streamscore.landing.entries import PassOver, files_below
from streamscore.landing.manifest import LandedFile, local_file
from streamscore.landing.objects import BucketWatcher
from streamscore.storage.folder import Folder


def landed_files(
    landing: Folder,
    pass_over: PassOver = lambda path, why: None,  # noqa: ARG005
    endings: tuple[str, ...] = ENDINGS,
) -> Iterator[LandedFile]:
    """The files in a landing folder, by their names; nothing tells whether they are settled.

    Args:
        pass_over: called with the path of each entry that a stream passes over, and why.
        endings: of the names that are landed, as the feed says.

    Raises:
        OSError: the folder of this machine is not there, or cannot be looked into.
    """
    return landing.by_kind(
        local=lambda folder: (
            local_file(file.path, file.status) for file in files_below(folder.uri, pass_over, endings=endings) if file
        ),
        bucket=lambda folder: iter(BucketWatcher(folder, 60.0, 0.0, endings).look()),
    )
