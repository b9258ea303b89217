"""One MLflow run and one model version.

register  the run, the version, its manifest and tags
check     that version in a fresh process, and through the stream
"""
