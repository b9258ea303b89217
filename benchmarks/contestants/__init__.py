"""Each is a script: LANDING TABLES MODEL_URI; it streams one folder's CSV files into TABLES/predictions until killed.

article       the textbook pipeline of Spark, MLflow and Delta, default settings
loop          no Spark, no recovery, no exactly-once: the floor
streamscore   is the command itself: streamscore run
"""
