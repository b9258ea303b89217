"""The new rows of a Delta table, commit by commit, for whoever watches it: without Spark, and only read.

cursor        where somebody who follows a table is
change        what comes: rows, or a gap
commit_entry  a commit as its log entry has it
new_rows      the rows that a commit added
batch_rows    the rows of a micro-batch, where its commit cannot be read any more
follower      one table, followed from a cursor
follow_table  the same for anyone's script
"""
