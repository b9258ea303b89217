"""From raw data to a model version that has earned Production, in the order in which data flow.

settings    which estimator, how it is tuned, split, judged: `conf/training/*.yaml`
generate    random rows of a feed
spoil       bad rows out of good ones
fetch       the real data sets, with pinned digests
sample      generated files, seeded
PLACEHOLDER
"""
