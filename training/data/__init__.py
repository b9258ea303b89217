"""Data to learn from.

fetch          the real data sets, with pinned checksums
generate       random rows of a feed
corrupt        bad rows among them
sample         generated files, seeded
read_csv       CSV files, as the stream reads them
read           CSV and Parquet, a file or a folder of them, typed as the feed says
profile_files  statistics of the columns of files
infer          a feed proposed from data
training_data  features, target and the columns that go with them
labels         the same out of a predictions table and labels that came late
split          rows to fit on, rows held out
"""
