"""Which version of which model, and the run that made it: what every prediction says it was made by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a model.

    Attributes:
        name: of the registered model; of `runs:/RUN/PATH` the path.
        version: its number; of `runs:/RUN/PATH` the run id; of `models:/m-…` the model id.
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
        return f"models:/{self.version}" if self.version.startswith("m-") else f"models:/{self.name}/{self.version}"
