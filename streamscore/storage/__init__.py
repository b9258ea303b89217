"""Where a stream reads and writes: folders of this machine or of an object store, alike.

object_store  one settings block for boto3, Arrow, delta-rs, MLflow and Spark
folder   read, write, put-if-absent, list, delete
bucket   the same in an object store
places   a setting's folder: which of the two it is; the folders of a stream, made
journal  durable lines, one after the other
lease    one driver a checkpoint
retry    storage that fails is tried again
"""
