"""Rules over what the tables say, in the order of commits: the same live, over history and over made-up rows.

observation  what a rule sees: the rows of a commit, or that time went by
window       how many, over a window
measure      what a rule makes of an observation
phase        inactive, pending, firing, recovering, and when it is which
evaluate     rules and observations in, transitions out
commits      the commits of a table as observations
history      the observations of a feed's tables, as they would have come
outbox       notices, kept until they are received
webhook      one attempt to send a notice
deliver      the notices of one receiver, sent in a thread
store        the table `alerts`: turns, and all that is remembered
watch        one feed: follow, evaluate, store, send
run          feeds in one process
check        rules against made-up rows in a file
show         transitions as lines
"""
