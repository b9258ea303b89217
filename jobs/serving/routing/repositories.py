"""What a model, and what keeps models, can do; which users have which model is a `ModelInfoRepository`."""

from typing import Protocol, TypeVar

from jobs.serving.requests.contract import Inputs
from streamscore.models.load import LoadedModel


class Model(Protocol):
    """A loaded version that answers.

    Attributes:
        model: the version itself.
        inputs: what a request gives it.
        digest: SHA-256 of its files.
    """

    @property
    def model(self) -> LoadedModel: ...

    @property
    def inputs(self) -> Inputs: ...

    @property
    def digest(self) -> str: ...


AModel = TypeVar("AModel", bound=Model, covariant=True)


class ModelRepository(Protocol[AModel]):
    """What has models by their URIs; that of the service loads them at first use."""

    async def get(self, uri: str) -> AModel:
        """The version that a URI stands for now.

        Raises:
            RequestError: no such model or version (404), it cannot be served (409), or it cannot be had now (503).
        """
