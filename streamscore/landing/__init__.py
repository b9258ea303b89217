"""Which files are new, and which of them make a micro-batch.

manifest   the files of a micro-batch: the source's offset
entries    what lies in a folder: files, folders, and what is passed over
settle     whether a file that was found by looking is complete
inotify    what the system tells of a folder
watch      settled files of a landing folder, by inotify and by looking
objects    the same of a prefix in an object store, by few LIST requests
listing    the files that are there now
troubles   what is wrong with single entries, each told once
ledger     what was found, durably, beside the checkpoint
archive    what becomes of a file after its batch
sweep      when that is done, beside the stream
take_up    what was cleaned up and is of no commit lands again
find       from one manifest to the next
source     the Spark data source over it
announce   the manifest, to the driver before Spark has it
"""
