"""A finder as Spark asks it."""

import json

from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest
from streamscore.storage.folder import Folder


class AskedBySpark(FileDiscovery):
    """Spark writes an offset to its log before it asks for the next one; and no test waits for the sweeper's second."""

    def __init__(self, finding: DiscoveryOptions) -> None:
        super().__init__(finding)
        self._offsets = finding.paths.checkpoint
        self._written = 0

    def after(self, begun: BatchManifest, max_files: int) -> BatchManifest:
        if begun.seq and begun.seq != self._written:
            write_offset(self._offsets, begun)
            self._written = begun.seq
        given = super().after(begun, max_files)
        self._sweeper.finish()
        return given


def write_offset(checkpoint: Folder, manifest: BatchManifest) -> None:
    """As Spark 4.2 does, for the micro-batch of a manifest."""
    checkpoint.at("offsets").make()
    text = f"v1\n{{}}\n{json.dumps(manifest.to_offset())}"
    checkpoint.write(f"offsets/{manifest.seq - 1}", text.encode())
