"""One registry for the tests of routed feeds; what is in Production there each test says itself."""

import pytest

from streamscore.registry.registry import Registry
from tests.support.register_kit import registry_in
from tests.support.routed_kit import register


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """alpha 1 and 2, and 3, which wants another input; beta 1."""
    folder = tmp_path_factory.mktemp("registry")
    made = registry_in(folder)
    register(made, folder, "alpha", 10.0)
    register(made, folder, "alpha", 20.0)
    register(made, folder, "alpha", 30.0, inputs=("a", "c"))
    register(made, folder, "beta", 40.0)
    return made
