"""A registered version, loaded and ready to predict.

example       rows of a feed that nobody landed: an input example, or made-up values
answers       what a model answers, held against its signature and the rows
row_model     a version that predicts rows
series_model  a version that forecasts series
load          either of them, as the feed says
lease         a model in use
failures      what could not be loaded, and when it is tried again
cache         models by key: loaded once, bounded by count and bytes
abreast       several of them, loaded beside each other
watch         the registry's word: swaps between micro-batches, refused versions
"""
