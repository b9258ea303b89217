"""Files that are polluted on purpose, through the stream and beside other readers: `make pollute`.

The idea and the words are those of Pollock, a benchmark of data loading (Vitagliano, Hameed, Naumann et al., VLDB
2023): clean tables, pollutions at the level of file, header, record and cell, and the outcome known from how each file
was made. None of its code is here. Its outcomes say what can be loaded, these also what must be refused.

kinds      the feeds: three seed tables in nine dialects
seeds      the clean rows
draft      a file before it is written, and what the docs promise for it
times      pollutions of a cell that has a date or a time
cells      of any other cell
records    of a record
headers    of the header
files      of the whole file
make       polluted files and their outcomes
judge      what a reader made of a file, beside its outcome
library    the stream's own reading, without a stream
weighed    the model that scores the rows
streams    the stream: in the driver and on executors, folders and a bucket
others     Spark CSV, pandas and DuckDB
report     the table
__main__   the command
"""
