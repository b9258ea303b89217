"""A version as a cache of models knows it, and which one a URI stands for: by the registry, or by a search of it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from schemas.errors import RegistryError
from streamscore.registry.heads import Head
from streamscore.registry.model_uri import MANIFEST, NOT_THERE, STORE, ModelRef, model_name, uri_parts
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.reader import ALIAS, STAGE
from streamscore.registry.store.semantic import is_semantic

if TYPE_CHECKING:
    from streamscore.registry.registry import Registry


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


def resolve_key(registry: "Registry", uri: str, feed: str = "FEED") -> VersionKey:
    """The version that a URI stands for now; that of the stage where nobody set the alias of Production.

    Raises:
        RegistryError: as `Registry.resolve`; `is_missing` says whether there is none, or no answer.
    """
    try:
        return VersionKey.of(registry.resolve(uri, feed))
    except RegistryError as error:
        if not (is_missing(error) and uri.endswith(f"@{ALIAS}")):
            raise
        of_stage = f"{uri.removesuffix(f'@{ALIAS}')}/{STAGE}"  # other tools know only the stage
        try:
            return VersionKey.of(registry.resolve(of_stage, feed))
        except RegistryError as second:
            raise (error if is_missing(second) else second) from second.__cause__


def is_missing(error: BaseException) -> bool:
    """Whether the registry answered that there is no such model or version."""
    cause = error.__cause__
    return isinstance(error, RegistryError) and (
        isinstance(cause, LookupError) or getattr(cause, "error_code", "") in NOT_THERE
    )
