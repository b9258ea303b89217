"""What is told of a version beside its files."""

from typing import Any

from jobs.serving.models.about import NOTHING, about
from schemas.errors import RegistryError
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry


def test_what_training_wrote_of_a_version_is_told(homes_registry: Registry) -> None:
    found = about(homes_registry, ModelVersion("homes", "1", ""))
    assert found["registry"] == "answered"
    assert found["metrics"] == {"rmse": 0.1}
    assert found["training_data"] == {"source": "homes.csv", "digest": "d" * 64, "rows": 20}
    gate = found["gate"]
    assert (gate["verdict"], gate["against"], gate["reasons"], gate["report"]["passed"]) == ("passed", None, [], True)
    assert found["tags"]["streamscore.feed"] == "homes" and not any("manifest" in tag for tag in found["tags"])


def test_a_version_of_which_nothing_was_written_has_the_same_keys(homes_registry: Registry) -> None:
    found = about(homes_registry, ModelVersion("homes", "3", ""))
    assert found.keys() == NOTHING.keys() | {"registry"}
    assert (found["stage"], found["aliases"], found["gate"], found["training_data"]) == (None, [], None, None)
    assert about(homes_registry, ModelVersion("path", "a" * 32, "a" * 32)) == NOTHING | {"registry": "answered"}


def test_a_version_that_is_gone_is_told_from_a_registry_that_does_not_answer(homes_registry: Registry) -> None:
    gone = about(homes_registry, ModelVersion("nobody", "1", ""))
    assert gone == NOTHING | {"registry": "has no such version any more"}

    class Silent:
        def version(self, name: str, number: str) -> None:
            msg = "no answer"
            raise RegistryError(msg)

    silent: Any = Silent()
    assert about(silent, ModelVersion("homes", "1", "")) == NOTHING | {"registry": "does not answer"}
