"""A header and a row of feed wine_quality, and the real data set."""

from pathlib import Path

import pytest

WINE = Path(__file__).parents[3] / "shared" / "data" / "wine-quality-white.csv"
needs_wine = pytest.mark.skipif(
    not WINE.is_file(),
    reason=f"found no {WINE}; the white wines of UCI's data set Wine Quality, commas between the columns",
)

HEADER = (
    "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,"
    "total sulfur dioxide,density,pH,sulphates,alcohol,quality\n"
)
ROW = "7,0.27,0.36,20.7,0.045,45,170,1.001,3,0.45,8.8,6\n"
