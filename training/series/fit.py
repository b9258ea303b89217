"""Fitting VAR and VARMAX with statsmodels; what is kept of them is arrays."""

import time
import warnings
from dataclasses import dataclass, field

import numpy as np

ITERATIONS = 200


@dataclass(frozen=True, slots=True)
class Fit:
    """A VAR(p) or VARMA(p, q) of k columns of stationary values, with an intercept and m regressors.

    Attributes:
        intercept, ar, ma, covariance: (k,), (p, k, k), (q, k, k), (k, k); as in `forecast_model.Coefficients`.
        residuals: of the rows it was fitted on.
        converged: the maximum likelihood was found within 200 iterations; a VAR has a closed form.
        seconds: the fit took.
        exogenous: the regressors' coefficients, (k, m).
    """

    name: str
    intercept: np.ndarray
    ar: np.ndarray
    ma: np.ndarray
    covariance: np.ndarray
    residuals: np.ndarray
    converged: bool
    seconds: float
    exogenous: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def title(self) -> str:
        """As `VAR(3)` or `VARMAX(3, 1)`."""
        order = f"{len(self.ar)}" if self.name == "var" else f"{len(self.ar)}, {len(self.ma)}"
        return f"{self.name.upper()}({order})"


def scale_of(values: np.ndarray) -> np.ndarray:
    """A power of two for each column, near its standard deviation: a division by it loses no bit."""
    return 2.0 ** np.round(np.log2(values.std(axis=0)))


@dataclass(frozen=True, slots=True)
class _Regressors:
    """Regressors in one scale.

    Attributes:
        scaled: around nothing; None if there are none.
        mean: as they were, (m,).
        ratio: what brings their coefficients back to the units of the values and of theirs, (k, m).
    """

    scaled: np.ndarray | None
    mean: np.ndarray
    ratio: np.ndarray


def _regressors(exogenous: np.ndarray | None, scale: np.ndarray) -> _Regressors:
    if exogenous is None or not exogenous.shape[1]:
        return _Regressors(None, np.zeros(0), np.ones((len(scale), 0)))
    own, mean = scale_of(exogenous), exogenous.mean(axis=0)
    return _Regressors((exogenous - mean) / own, mean, scale[:, np.newaxis] / own)


def fit_var(values: np.ndarray, p: int, exogenous: np.ndarray | None = None) -> Fit:
    """A VAR by least squares, its covariance with the degrees of freedom taken off (Lütkepohl 2005, section 3.2).

    It is fitted on values of one scale and brought back: of columns of 1e16 beside 1e-2, least squares drop the small.

    Args:
        exogenous: regressors, a row for each of the values; each row is of the same time.
    """
    from statsmodels.tsa.api import VAR

    start = time.perf_counter()
    scale, k = scale_of(values), values.shape[1]
    regressors = _regressors(exogenous, scale)
    found = VAR(values / scale, exog=regressors.scaled).fit(p, trend="c")
    by = np.asarray(found.coefs_exog)[:, 1:] * regressors.ratio
    return Fit(
        name="var",
        intercept=np.asarray(found.intercept) * scale - by @ regressors.mean,
        ar=np.asarray(found.coefs) * (scale[:, np.newaxis] / scale),
        ma=np.zeros((0, k, k)),
        covariance=np.asarray(found.sigma_u) * np.outer(scale, scale),
        residuals=np.asarray(found.resid) * scale,
        converged=True,
        seconds=time.perf_counter() - start,
        exogenous=by,
    )


def fit_varmax(values: np.ndarray, p: int, q: int, exogenous: np.ndarray | None = None) -> Fit:
    """A VARMA by maximum likelihood of its state space form, stationary and invertible.

    It is fitted on standardised values, on which the search converges (on macrodata's 161 rows of differences, p = 3:
    32 iterations instead of 187), and brought back to the values' units, which changes nothing else.
    """
    from statsmodels.tsa.api import VARMAX

    start = time.perf_counter()
    mean, scale, k = values.mean(axis=0), values.std(axis=0), values.shape[1]
    regressors = _regressors(exogenous, scale)
    with warnings.catch_warnings():
        # that VARMA is hard to identify, and that the search did not converge, which `converged` says
        warnings.simplefilter("ignore")
        model = VARMAX((values - mean) / scale, exog=regressors.scaled, order=(p, q), trend="c")
        found = model.fit(disp=False, maxiter=ITERATIONS)
    ratio = scale[:, np.newaxis] / scale
    by = np.asarray(found.params[model._params_regression]).reshape(k, -1) * regressors.ratio
    ar = np.asarray(found.coefficient_matrices_var).reshape(p, k, k) * ratio if p else np.zeros((0, k, k))
    ma = np.asarray(found.coefficient_matrices_vma).reshape(q, k, k) * ratio if q else np.zeros((0, k, k))
    return Fit(
        name="varmax",
        intercept=np.asarray(found.params[:k]) * scale + mean - ar.sum(axis=0) @ mean - by @ regressors.mean,
        ar=ar,
        ma=ma,
        covariance=np.asarray(found.model["state_cov"]) * np.outer(scale, scale),
        residuals=np.asarray(found.resid) * scale,
        converged=bool(found.mle_retvals["converged"]),
        seconds=time.perf_counter() - start,
        exogenous=by,
    )
