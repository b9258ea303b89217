"""What the fixtures of tests/conftest.py hand out."""

from dataclasses import dataclass

from services.object_store import ObjectStore
from streamscore.registry.registry import Registry


@dataclass(frozen=True)
class Trained:
    """A registry with three versions of wine_quality that predict differently; version 1 is in Production."""

    uri: str
    registry: Registry


@dataclass(frozen=True)
class Bucket:
    """A bucket that no other test knows."""

    name: str
    store: ObjectStore

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"
