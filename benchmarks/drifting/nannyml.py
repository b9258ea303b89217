"""NannyML with its defaults: its univariate calculator, fitted on the baseline in chunks of a window's size."""

import json
import os
import pickle
import sys
import time
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # before it is imported: it sends what it is used for

import nannyml
import pandas as pd


def main(path: str) -> None:
    before, windows = pickle.loads(Path(path).read_bytes())
    names = [str(name) for name in before]
    texts = [name for name in names if before[name].dtype == object]
    fitted = {}
    answers = []
    for window in windows:
        begun = time.monotonic()
        if len(window) not in fitted:
            fitted[len(window)] = nannyml.UnivariateDriftCalculator(
                column_names=names, treat_as_categorical=texts, chunk_size=len(window)
            ).fit(pd.DataFrame(before))
        found = fitted[len(window)].calculate(window).filter(period="analysis").to_df()
        drifted = [name for name in names if bool(found[name, "jensen_shannon", "alert"].any())]
        answers.append((sorted(drifted), time.monotonic() - begun))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
