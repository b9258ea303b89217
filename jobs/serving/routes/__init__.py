"""What is asked at which path, by protocol.

mlflow_routes      MLflow's scoring server
v2_routes          the Open Inference Protocol V2
repository_routes  loading and unloading by Triton's extension of it
model_routes       our own
forecast_routes    our own of forecasts
user_routes        both by user
store_routes       the model store, for admin keys
version_archive    a version of the store as one tar archive
kserve_routes      KServe's forecast protocol
not_there          any other path
metrics_route      Prometheus metrics
"""
