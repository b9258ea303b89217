"""Every answered, refused and failed request, in the table `requests` beside the predictions.

record     what is known of a request, noted while it is answered
seen       when it is noted: the application around all others
queue      in memory, bounded: all that a request waits for
rows       what was noted → rows of the table
json_rows  rows and predictions as JSON, where the table has no columns of their types
account    how many requests were answered, and what became of them; it survives a kill
spool      rows that are in no table yet, on disk, bounded
write      the spool into the tables, exactly once
table      the table of a feed: made, widened, committed to
upkeep     rounds of maintenance of the tables
log        all of it, with the two threads that do it
"""
