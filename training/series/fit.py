"""Fitting VAR and VARMAX with statsmodels; what is kept of them is arrays."""

import time
import warnings
from dataclasses import dataclass

import numpy as np

ITERATIONS = 200


@dataclass(frozen=True, slots=True)
class Fit:
    """A VAR(p) or VARMA(p, q) of k columns of stationary values, with an intercept.

    Attributes:
        intercept, ar, ma, covariance: (k,), (p, k, k), (q, k, k), (k, k); as in `forecast_model.Coefficients`.
        residuals: of the rows it was fitted on.
        converged: the maximum likelihood was found within 200 iterations; a VAR has a closed form.
        seconds: the fit took.
    """

    name: str
    intercept: np.ndarray
    ar: np.ndarray
    ma: np.ndarray
    covariance: np.ndarray
    residuals: np.ndarray
    converged: bool
    seconds: float

    @property
    def title(self) -> str:
        """As `VAR(3)` or `VARMAX(3, 1)`."""
        order = f"{len(self.ar)}" if self.name == "var" else f"{len(self.ar)}, {len(self.ma)}"
        return f"{self.name.upper()}({order})"


def scale_of(values: np.ndarray) -> np.ndarray:
    """A power of two for each column, near its standard deviation: a division by it loses no bit."""
    return 2.0 ** np.round(np.log2(values.std(axis=0)))


def fit_var(values: np.ndarray, p: int) -> Fit:
    """A VAR by least squares, its covariance with the degrees of freedom taken off (Lütkepohl 2005, section 3.2).

    It is fitted on values of one scale and brought back: of columns of 1e16 beside 1e-2, least squares drop the small.
    """
    from statsmodels.tsa.api import VAR

    start = time.perf_counter()
    scale = scale_of(values)
    found = VAR(values / scale).fit(p, trend="c")
    k = values.shape[1]
    return Fit(
        name="var",
        intercept=np.asarray(found.intercept) * scale,
        ar=np.asarray(found.coefs) * (scale[:, np.newaxis] / scale),
        ma=np.zeros((0, k, k)),
        covariance=np.asarray(found.sigma_u) * np.outer(scale, scale),
        residuals=np.asarray(found.resid) * scale,
        converged=True,
        seconds=time.perf_counter() - start,
    )


def fit_varmax(values: np.ndarray, p: int, q: int) -> Fit:
    """A VARMA by maximum likelihood of its state space form, stationary and invertible.

    It is fitted on standardised values, on which the search converges (on macrodata's 161 rows of differences, p = 3:
    32 iterations instead of 187), and brought back to the values' units, which changes nothing else.
    """
    from statsmodels.tsa.api import VARMAX

    start = time.perf_counter()
    mean, scale = values.mean(axis=0), values.std(axis=0)
    with warnings.catch_warnings():
        # that VARMA is hard to identify, and that the search did not converge, which `converged` says
        warnings.simplefilter("ignore")
        found = VARMAX((values - mean) / scale, order=(p, q), trend="c").fit(disp=False, maxiter=ITERATIONS)
    k = values.shape[1]
    ratio = scale[:, np.newaxis] / scale
    ar = np.asarray(found.coefficient_matrices_var).reshape(p, k, k) * ratio if p else np.zeros((0, k, k))
    ma = np.asarray(found.coefficient_matrices_vma).reshape(q, k, k) * ratio if q else np.zeros((0, k, k))
    return Fit(
        name="varmax",
        intercept=np.asarray(found.params[:k]) * scale + mean - ar.sum(axis=0) @ mean,
        ar=ar,
        ma=ma,
        covariance=np.asarray(found.model["state_cov"]) * np.outer(scale, scale),
        residuals=np.asarray(found.resid) * scale,
        converged=bool(found.mle_retvals["converged"]),
        seconds=time.perf_counter() - start,
    )
