"""Print the predictions of the stream, and the rows that it could not use."""

from streamscore import read_table

predictions = read_table("deliveries", columns=["order_id", "distance_km", "weather", "prediction", "model_version"])
print(predictions.sort_by("order_id").to_pandas().to_string(index=False))

rejects = read_table("deliveries", "quarantine", columns=["source_file", "source_line", "raw", "reason", "detail"])
print(rejects.sort_by("source_line").to_pandas().to_string(index=False))
