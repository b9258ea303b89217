"""A version as the cache knows it, and which one a search of the registry gives for a URI."""

from dataclasses import dataclass, field
from typing import Self

from streamscore.registry.heads import Head
from streamscore.registry.model_uri import MANIFEST, STORE, ModelRef, model_name, uri_parts
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.store.semantic import is_semantic


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


def may_move(uri: str) -> bool:
    """Whether a URI may stand for another version tomorrow."""
    if uri.startswith(STORE):
        return not is_semantic(uri.rpartition("/")[2])
    _, alias, suffix = uri_parts(uri)
    return uri.startswith("models:/") and bool(alias or (suffix and not suffix.isdigit()))


def version_in(heads: dict[str, Head], uri: str) -> str | None:
    """What a search says of a URI; None if it says nothing, as of a store."""
    head = None if uri.startswith(STORE) else heads.get(model_name(uri))
    return head.version(uri) if head else None
