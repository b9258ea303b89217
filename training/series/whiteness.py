"""Whether the residuals of a fit still hold correlation over time."""

from dataclasses import dataclass

import numpy as np

from training.series.fit import Fit


@dataclass(frozen=True, slots=True)
class Whiteness:
    """The adjusted Portmanteau test; a small p-value says that the residuals are correlated up to `lags`."""

    statistic: float
    degrees: int
    lags: int
    p_value: float


def portmanteau(fit: Fit) -> Whiteness:
    """The adjusted Portmanteau test up to 10 lags, or twice the order where that is more.

    T² Σ tr(C(i)' C(0)⁻¹ C(i) C(0)⁻¹) / (T - i), with the autocovariances C of the centred residuals, is about χ² with
    k² (lags - p - q) degrees of freedom (Lütkepohl 2005, equation 4.4.23; Hosking 1980 for a moving average).
    """
    from scipy.stats import chi2

    orders = len(fit.ar) + len(fit.ma)
    lags = max(10, 2 * orders)
    centred = fit.residuals - fit.residuals.mean(axis=0)
    centred = centred / centred.std(axis=0)  # changes no trace, and the inverse exists whatever the units
    rows, k = centred.shape
    inverse = np.linalg.inv(centred.T @ centred / rows)
    statistic = 0.0
    for lag in range(1, lags + 1):
        covariance = centred[lag:].T @ centred[:-lag] / rows
        statistic += float(np.trace(covariance.T @ inverse @ covariance @ inverse)) * rows**2 / (rows - lag)
    degrees = k * k * (lags - orders)
    return Whiteness(statistic, degrees, lags, float(chi2.sf(statistic, degrees)))
