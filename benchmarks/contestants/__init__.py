"""Each is a program: LANDING TABLES MODEL_URI MAX_FILES; it streams CSV files into TABLES/predictions until killed.

article        the textbook pipeline of Spark, MLflow and Delta, default settings
article_tuned  the same with the best settings found for it
bytewax        Bytewax, with `deltalake` as its sink
loop           no Spark, no recovery, no exactly-once: the floor
pathway        Pathway, with `deltalake` as its sink, since its own Delta output wants a licence key
streamscore    is the command itself, `streamscore run`; here is what its variants set

MAX_FILES bounds a micro-batch; 0 is no bound. `started` on standard output: it looks for files from now on.
"""
