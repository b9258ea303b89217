"""Which version of which model, and the run that made it: what every prediction says it was made by."""

from dataclasses import dataclass

from streamscore.registry.store.semantic import is_semantic


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a model.

    Attributes:
        name: of the registered model; of `runs:/RUN/PATH` the path.
        version: its number, or 1.2.0 in a store; of `runs:/RUN/PATH` the run id; of `models:/m-…` the model id.
        run_id: the run that made it; empty where none did.
    """

    name: str
    version: str
    run_id: str

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.name} v{self.version}"

    @property
    def uri(self) -> str:
        """Where the registry has it, whatever an alias or a stage stands for by now."""
        if self.version == self.run_id:
            return f"runs:/{self.run_id}/{self.name}"
        if self.version.startswith("m-"):
            return f"models:/{self.version}"
        return version_uri(self.name, self.version)

    @property
    def try_it(self) -> str:
        """What loads it without us, to look at what is wrong with it."""
        if is_semantic(self.version):
            return f"streamscore store pull {self.name} {self.version} DIR, then mlflow.pyfunc.load_model('DIR/model')"
        return f"mlflow.pyfunc.load_model('{self.uri}')"


def version_uri(name: str, version: str) -> str:
    """The URI of a version: of a model store if it is a semantic version, else of the MLflow registry."""
    return f"store:/{name}/{version}" if is_semantic(version) else f"models:/{name}/{version}"
