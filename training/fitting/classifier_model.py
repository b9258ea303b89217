"""The code of a registered classifier: labels and probabilities from one skops file.

MLflow copies this file into the model and runs it where the model is loaded; so it imports nothing of ours.
Its columns: `label`, and one `probability_…` per class, doubles.
"""

from typing import Any

import pandas as pd
import skops.io
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

# what skops may load beside its own types: the default of the setting models.skops_types
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


class Classifier(PythonModel):
    """A fitted scikit-learn pipeline that answers with both."""

    def load_context(self, context: PythonModelContext) -> None:
        self._pipeline = skops.io.load(context.artifacts["pipeline"], trusted=list(TRUSTED))
        self._names = list(context.model_config["probabilities"])

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """One row of label and probabilities per row of features."""
        answer = pd.DataFrame(self._pipeline.predict_proba(model_input), columns=self._names)
        answer.insert(0, "label", self._pipeline.predict(model_input))
        return answer


set_model(Classifier())
