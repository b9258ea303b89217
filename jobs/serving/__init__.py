"""The online service: the models of the registry answered over REST.

A request goes through these, in this order:

run            starts the processes
app            the application and what runs beside the requests
service        what all routes share
mlflow_routes  MLflow's protocol
v2_routes      the Open Inference Protocol V2
model_routes   our own routes
openapi        the service described, and Swagger
body           the bytes of a request, within their bounds
json_text      JSON without doubles
tabular        MLflow's JSON, CSV, Parquet and Arrow → values
v2_tensors     V2's tensors → values, predictions → tensors
contract       what a model's requests must hold
values         values → typed rows
batcher        what waits is predicted together
served_model   rows → predictions and errors
model_table    which version stands for a URI
answers        predictions and refusals as bytes
problems       what a request is refused for
"""
