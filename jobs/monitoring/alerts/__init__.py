"""Rules over what the tables say, in the order of commits: the same live, over history and over made-up rows.

observation  what a rule sees: the rows of a commit, or that time went by
window       how many, over a window
measure      what a rule makes of an observation
phase        inactive, pending, firing, recovering, and when it is which
evaluate     rules and observations in, transitions out
history      the observations of a feed's tables
check        rules against made-up rows in a file
show         transitions as lines
"""
