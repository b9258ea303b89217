"""Model versions that never change, in a folder or a bucket: `models/<name>/<1_2_0>/…`, or in an MLflow registry.

semantic        semantic versions, and what asks for one: exact, `latest`, or a range
stored_version  what a store says of a version: its manifest, `version.json`
model_store     what every store can do; the version that a URI stands for
folder_store    a store in a folder or in a bucket
push            a model put into a store, taken out of it, copied from one to another
mlflow_store    a store in an MLflow registry
"""
