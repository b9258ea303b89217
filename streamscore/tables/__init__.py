"""Parts in, one commit per table, exactly once.

batch              a micro-batch, its counts, and the record in its commit
delta_statistics   min, max and nulls of a part, as Delta wants them
parts              Parquet parts, in no table yet
read_part          one of a table, read
log_entry          the text of a commit
torn               entries of which a power cut left a part
understood         which tables are written to
owner              the run that may commit to them
delta_log          a table's log: its transactions, and what its commits say
deltalake_log      the same, where `deltalake` puts the next commit
own_put_log        the same, where we put it: in 0.2 ms, whatever the table holds
make               a table that is not there yet
take_over          how a run becomes the owner of tables
tables             the tables of a feed
commit             rejects, then predictions, which decide the batch
discard            the parts of a commit that failed
spark_writer       commits through Spark's own Delta
writers            which of the two
housekeeping       beside the stream: batches, events, log checkpoints
recover            what is done, by the tables alone
read_table         a table of a feed as one Arrow table, for anyone's script
"""
