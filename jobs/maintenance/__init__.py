"""Keeping the tables small, beside the stream: `streamscore maintain`, and rounds of it inside a run.

plan_compaction  which small files of a table become one
compact          their rows into one part, one commit; rows and statistics stay
expire           requests that are older than wanted
clean            old log entries, files that are in no table any more, model versions nobody scores with
lock             one maintenance of a feed's tables at a time
maintain         all of it, table by table, and what it came to
show             the same as a table to read
worker           one bounded round in a process of its own, at the lowest priority
schedule         when a run starts one
"""
