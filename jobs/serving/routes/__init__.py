"""What is asked at which path, by protocol.

mlflow_routes    MLflow's scoring server
v2_routes        the Open Inference Protocol V2
model_routes     our own
forecast_routes  our own of forecasts
kserve_routes    KServe's forecast protocol
"""
