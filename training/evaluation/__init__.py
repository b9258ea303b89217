"""How good a model is, and whether that is good enough.

metrics     answers against the truth, for any weights of the rows
evaluate    how good a model is on the held-out rows: overall, by slice, with intervals, beside a baseline
production  the model in Production, which a candidate is held against
gate        whether a candidate is good enough
plots       what the evaluation shows, as SVG
report      all of it on one page
"""
