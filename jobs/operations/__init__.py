"""Beside the stream, without Spark: what it has done, putting rejects through again, what is wrong with a machine.

stream_state    a feed's landing folder, ledger and tables, read only
status          what the stream has done
show_status     the same, printed
replay          quarantined rows and files, landed again
lineage         what a prediction was made of, from its row back to the data its model learned from
models          the versions of a model, and how they came into Production
model_store     what is pushed to a model store, and its versions, told
example_file    rows as a file of a feed
compare         a candidate against Production, on the requests that both scored
compare_stream  what the shadows of routed feeds said in the stream
trial           a version tried as `run` would take it, before it is promoted
check_version   a registered version alone and through the stream, for the training pipeline
doctor          what is wrong, and one fix for each
"""
