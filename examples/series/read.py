"""Print the forecasts that followed the newest observation: one row a step, with bounds."""

import pyarrow.compute as pc

from streamscore import read_table

forecasts = read_table("macrodata", "forecasts")
newest = forecasts.filter(pc.equal(forecasts["observation"], pc.max(forecasts["observation"])))
columns = ["date", "step", "realgdp_forecast", "realgdp_lower", "realgdp_upper"]
print(newest.select(columns).sort_by("step").to_pandas().round(1).to_string(index=False))
