"""Model versions in a folder or a bucket, with no server beside it: `models/<name>/<1_2_0>/…`, never changed.

semantic        semantic versions, and what asks for one: exact, `latest`, or a range
stored_version  what a store says of a version: its manifest, `version.json`
model_store     what every store can do; the version that a URI stands for
folder_store    a store in a folder or in a bucket
mlflow_store    the versions of an MLflow registry that have a semantic version
push            a model put into a store, taken out of it, copied from one to another
"""
