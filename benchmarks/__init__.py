"""How fast the stream is, beside what users would take instead: `make bench`.

contestants   each in its own file, each honest to how its users run it
harness       starts them, lands the same files for each in turn, and times the visible commit
__main__      the table
"""
