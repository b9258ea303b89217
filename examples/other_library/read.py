"""Print the predictions of the stream: a struct of three numbers for each row."""

from streamscore import read_table

rows = read_table("delivery_times", columns=["distance_km", "items", "prediction"]).flatten()
print(rows.sort_by("distance_km").to_pandas().round(1).to_string(index=False))
