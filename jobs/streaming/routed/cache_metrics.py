"""The cache of a routed feed's stream as Prometheus metrics, read when somebody asks: a micro-batch pays nothing."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamscore.models.cache import ModelCache


class CacheMetrics(Collector):
    """Under the names that the online service has for its own."""

    def __init__(self, feed: str, cache: ModelCache[Any, Any]) -> None:
        self._feed, self._cache = feed, cache

    def collect(self) -> Iterator[Metric]:
        """What is so now."""
        counts = self._cache.counts
        gauges = (
            ("streamscore_models_in_memory", "Loaded versions.", len(self._cache.loaded())),
            ("streamscore_model_bytes", "Memory of the loaded versions.", self._cache.size),
            ("streamscore_model_eviction_age_seconds", "From its last use until the last eviction.", counts.last_age),
        )
        counters = (
            ("streamscore_model_cache_hits", "Uses of a version that was in memory.", counts.hits),
            ("streamscore_model_cache_misses", "Uses of one that was not.", counts.misses),
            ("streamscore_model_loads", "Loads of versions.", counts.loads),
            ("streamscore_model_load_failures", "Loads that failed.", counts.failures),
            ("streamscore_model_load_seconds", "Seconds of all loads.", counts.load_seconds),
            ("streamscore_model_evictions", "Versions that were freed.", counts.evictions),
        )
        for name, said, value in gauges:
            gauge = GaugeMetricFamily(name, said, labels=["feed"])
            gauge.add_metric([self._feed], value)
            yield gauge
        for name, said, value in counters:
            counter = CounterMetricFamily(name, said, labels=["feed"])
            counter.add_metric([self._feed], value)
            yield counter
