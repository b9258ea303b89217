"""What is measured, a file each: `measure(bench)` returns raw figures, in seconds, bytes and counts.

latency       file rename → visible commit, contestants in turn
large_models  the same, with a forest and with a model that takes 20 ms a call
start_up      command → first visible prediction
catch_up      many files that wait when the command is given
memory        of the process tree, all through a catch-up
idle          processor time while nothing lands
growth        latency with many files landed before, and after many commits
left_behind   commits and files in the table after some time of steady work
object_store  landing folder and table in a bucket
drift         false alarms, and found shifts, of windows of real rows
"""
