"""Evidently with its defaults: a report with DataDriftPreset for each window.

Its own verdict of the whole window asks for half of the columns; here a column counts, as it does for the others.
"""

import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

P_VALUES = ("p_value", "p-value")


def drifted(metrics: list[dict[str, Any]]) -> list[str]:
    """The columns whose value is on the other side of the threshold, which for p-values is below it."""
    found = []
    for metric in metrics:
        config = metric["config"]
        if "column" not in config:
            continue
        is_p = any(word in config["method"] for word in P_VALUES)
        value = float(metric["value"])
        if value < config["threshold"] if is_p else value >= config["threshold"]:
            found.append(config["column"])
    return sorted(found)


def main(path: str) -> None:
    before, windows = pickle.loads(Path(path).read_bytes())
    texts = [name for name in before if before[name].dtype == object]
    numbers = [name for name in before if name not in texts]
    of = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    reference, answers = Dataset.from_pandas(pd.DataFrame(before), of), []
    for window in windows:
        begun = time.monotonic()
        made = Report([DataDriftPreset()]).run(Dataset.from_pandas(window, of), reference)
        answers.append((drifted(made.dict()["metrics"]), time.monotonic() - begun))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
