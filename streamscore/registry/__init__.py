"""Model versions in MLflow or a model store: resolved, verified against what was registered, promoted.

mlflow_module      MLflow itself: imported late, quiet, giving up in bounded time
process_variables  variables of the whole process, set once
connection         the way to MLflow: one registry, one tracking store, every error in one line
model_uri          model URIs and the version that each stands for
model_version      which version of which model, and the run that made it
requirements       what a model was made with, against what runs here
allow_list         which models may be loaded, by their MLmodel file alone
manifest           SHA-256 of a version's files, in the registry's tags
store              versions that never change: in a folder, a bucket or MLflow
provenance         what a version was made of, in its tags
promotions         who put which version into Production when, and the way back
repeat             calls that MLflow may carry out without an answer, made once all the same
heads              what all aliases and stages stand for, by one search
reader             which versions there are, and their files, verified
version_key        a version as a cache of models knows it, and which one a URI stands for
missing_text       what missing text was in the rows that a model was trained on
memory             what a loaded model takes of it
pyfunc             a version's model, loaded in this process or in one of its own
version_process    the process of a version that brings code of its own
version_main       what runs in that process
writer             a version registered, tagged, promoted, taken back
registry           where the registry is; reader and writer for those who use it
"""
