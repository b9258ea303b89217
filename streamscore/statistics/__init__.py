"""What columns look like, and how far one distribution is from another.

profiles     statistics of columns, and what they tell
drift        how far rows of training are from others, as one index
sketches     statistics that travel with a model version: quantiles, counts of values
two_samples  whether two sets of rows are of one distribution
distances    how far they are from each other, in numbers that decide nothing
verdict      which columns of a window drifted
"""
