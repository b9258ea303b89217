"""What a run shows of a micro-batch: the entries of its log line, and the metrics."""

from dataclasses import replace

from jobs.streaming.progress import BatchDone, RunMetrics
from schemas.feed import load_feed
from streamscore.registry.model_version import ModelVersion

WINE = ModelVersion("wine_quality", "7", "run")
DONE = BatchDone(3, 2, 10, 1, {"bad_type": 1}, (WINE,), 0.5, 0.6, "driver")


def test_times_that_lost_digits_are_in_the_log_and_counted_where_there_are_some() -> None:
    assert "truncated" not in DONE.to_log()
    assert replace(DONE, truncated=4).to_log()["truncated"] == 4
    metrics = RunMetrics(load_feed("wine_quality"))
    for _ in range(2):
        metrics.batch(replace(DONE, truncated=4))
    feed = {"feed": "wine_quality"}
    assert metrics.registry.get_sample_value("streamscore_truncated_total", feed) == 8
    assert metrics.registry.get_sample_value("streamscore_rows_total", feed) == 20
