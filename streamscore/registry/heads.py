"""What the aliases and stages of all registered models stand for now, by one search for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamscore.registry.model_uri import uri_parts

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000  # models; MLflow gives no more at once


@dataclass(frozen=True, slots=True)
class Head:
    """The versions of one registered model that have a name.

    Attributes:
        aliases: alias → version.
        stages: stage in lower case → its newest version.
    """

    aliases: Mapping[str, str]
    stages: Mapping[str, str]

    def version(self, uri: str) -> str | None:
        """The version that a `models:/` URI of this model stands for; None if the search did not say."""
        _, alias, suffix = uri_parts(uri)
        if alias:
            return self.aliases.get(alias)
        if suffix.lower() == "latest":
            return max(self.stages.values(), key=int, default=None)
        return suffix if suffix.isdigit() else self.stages.get(suffix.lower())


def find_heads(client: "MlflowClient") -> dict[str, Head]:
    """The heads of all registered models, by name: a request for each thousand of them."""
    heads: dict[str, Head] = {}
    token = None
    while True:
        page = client.search_registered_models(max_results=PAGE, page_token=token)
        for model in page:
            newest = {(v.current_stage or "None").lower(): str(v.version) for v in model.latest_versions or ()}
            heads[model.name] = Head({alias: str(version) for alias, version in model.aliases.items()}, newest)
        if not (token := page.token):
            return heads
