"""Whether today's rows are still those that the model learned from: `streamscore drift`.

window     how long a window is, and which rows make one
profiles   rows of the tables in, the sketches of each closed window out
tables     the tables `drift_profiles` and `drift`
baselines  what a window is held against: training, the week before, the version before
judge      the verdict of each window beside each baseline, and alarms
find       the flow over these
show       what the command prints
report     one page that needs no other file
pictures   its charts
"""
