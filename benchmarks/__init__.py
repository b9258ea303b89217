"""How fast the stream is, beside what users would take instead: `make bench`.

sizes         how much is measured: default, full, smoke
contestants   each in its own file, each honest to how its users run it
libraries     the libraries that are no part of streamscore, each in a Python of its own
roster        how each is started, and why one cannot be
late_model    a model whose predict takes 20 ms, whatever the batch
models        the registry with the models, and the CSV files
bench         what the parts share: places, models, texts, the time that is left
table_log     what a reader of the table can see
tree          a contestant's processes: stopped, continued, ended; their memory and processor time
contestant    one running pipeline: start it, land files, wait for the commit
parts         what is measured, a file each
drifting      the windows of the part `drift`, and the libraries beside it
figures       quantiles, spreads and ratios
goals         the numbers to reach against what was measured
drift_goals   those of drift, and their table
report        the Markdown page
plots         the pictures
pollute       polluted files, and what readers make of them: `make pollute`
__main__      the command
"""
