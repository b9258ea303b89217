"""What the part `drift` measures, and beside what.

windows    real rows as a baseline and as windows beside it, some of them changed
evidently  Evidently with its defaults, in a Python of its own
nannyml    NannyML with its defaults, likewise

The two programs get a pickled file of a baseline and windows, and print for each window the columns and the seconds.
"""
