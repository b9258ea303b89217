import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="package")
def homes() -> pd.DataFrame:
    """Words, nulls, booleans and text of numbers, in the columns of `fitting_kit`."""
    random, rows = np.random.default_rng(0), 200
    frame = pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "rooms": random.integers(1, 9, rows).astype(float),
            "the kind": random.choice(["flat", "house"], rows),
            "year": random.integers(1900, 2020, rows).astype(str),
            "lift": random.random(rows) < 0.5,
        }
    )
    frame.loc[::7, "rooms"] = np.nan
    return frame
