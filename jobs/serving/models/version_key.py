"""A version as the cache knows it."""

from dataclasses import dataclass, field
from typing import Self

from streamscore.registry.model_uri import MANIFEST, ModelRef
from streamscore.registry.model_version import ModelVersion


@dataclass(frozen=True, slots=True)
class VersionKey:
    """A version and its files.

    Attributes:
        manifest: what the registry says of its files: given another one, it is loaded anew.
        ref: where it is.
    """

    model: ModelVersion
    manifest: str
    ref: ModelRef = field(compare=False)

    @classmethod
    def of(cls, ref: ModelRef) -> Self:
        return cls(ref.model, ref.tags.get(MANIFEST, ""), ref)
