"""What answers: versions, loaded at first use and followed in the registry.

model_table    which version stands for a URI
leases         what a request uses stays in memory
load           a version's files → what answers with it
quiet_load     loads and other threads let requests through
wishes         load and unload, of every worker
served_model   rows → predictions and errors
served_series  observations → the next steps of their series
steps_ahead    the exogenous columns of these steps
feed_history   the observations in a feed's table
batcher        what waits is predicted together
statistics     what a version has answered so far
about          what the registry knows of a version
"""
