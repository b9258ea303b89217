"""Where a stream reads and writes: folders of this machine or of an object store, alike.

object_store  one settings block for boto3, Arrow, delta-rs, MLflow and Spark
sync     what was written is safe from a power cut
journal  durable lines, one after the other
folder   read, write, put-if-absent, list, delete; its journals and its lease
bucket   the same in an object store
lease    one driver a checkpoint
changed_file  whether a file that somebody edits is to be read again
places   a setting's folder: which of the two it is
stream_paths  the folders of a stream, and making them
retry    storage that fails is tried again
"""
