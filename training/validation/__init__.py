"""What is wrong or odd in data, before anything is fitted.

findings     one finding, and how it is shown
values       each value against the feed's rules
validate     data against the feed, held-out rows, and the data of the Production model
has_drifted  whether they are a reason to train
"""
