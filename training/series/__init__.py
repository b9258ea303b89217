"""From a multivariate series to a VAR or VARMAX in the registry, in the order in which data flows.

macrodata       the series that comes with statsmodels, as a file of its feed
frequency       how far apart the rows are, and the first gap
data            a series by time: regular, finite, nothing missing
stationarity    how often each column is differenced, by the ADF test
order           the lag order, by an information criterion
fit             statsmodels' VAR and VARMAX, as arrays
forecast_model  the registered model: one file of numpy that runs without our code
whiteness       whether the residuals still hold correlation
baselines       naive, seasonal naive, gradient boosting on lags
backtest        all of them from rolling origins on the held-out rows
plots           two pictures of it, as SVG
result          what was found, as a value
pipeline        the flow over these
log_forecaster  how the forecaster is logged
candidate       it and the forecaster in Production, judged by the gate
"""
