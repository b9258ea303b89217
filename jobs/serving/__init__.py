"""The online service: the models of the registry answered over REST.

A request goes through these, in this order:

run              starts the processes
app              the application and what runs beside the requests
service          what all routes share
mlflow_routes    MLflow's protocol
v2_routes        the Open Inference Protocol V2
model_routes     our own routes
forecast_routes  our own route of forecasts
kserve_routes    KServe's forecast protocol
openapi          the service described, and Swagger
openapi_series   the operations of a model of series
openapi_parts    what operations are made of
body             the bytes of a request, within their bounds
json_text        JSON without doubles
tabular          MLflow's JSON, CSV, Parquet and Arrow → values
v2_tensors       V2's tensors → values, predictions → tensors
series_request   which steps are wanted, after which observations
feed_history     the observations in a feed's table
contract         what a model's requests must hold
values           values → typed rows
batcher          what waits is predicted together
served_model     rows → predictions and errors
served_series    observations → the next steps of their series
load             a version's files → what answers with it
model_table      which version stands for a URI
answers          predictions and refusals as bytes
problems         what a request is refused for
"""
