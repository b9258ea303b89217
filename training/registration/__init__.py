"""One MLflow run and one model version.

one_run   one run and one logged model, whatever becomes of MLflow's answers
register  the run, the version, its manifest and tags
check     that version in a fresh process, and through the stream
"""
