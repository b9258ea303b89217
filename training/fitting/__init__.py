"""From training rows to a fitted scikit-learn pipeline.

estimators        what the settings name, from an allow-list
search_space      what parameters a search may choose
tune              a resumable search for parameters, by cross-validation
fit               a scikit-learn pipeline, the preparation of features part of it
log_model         how it is logged: a number per row, or a label and the probability of each
classifier_model  the code of a registered classifier
"""
