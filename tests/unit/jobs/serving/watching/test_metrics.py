"""The metrics of several workers, and what has series of its own."""

import os
import subprocess
import sys
from pathlib import Path

from jobs.serving.watching.labels import OTHER, ModelLabels
from jobs.serving.watching.metrics import SHARED
from tests.support.request_kit import answered

ROOT = Path(__file__).parents[5]
WORKER = """
import sys
from jobs.serving.requests.patience import Gate
from jobs.serving.watching.metrics import ServiceMetrics
from streamscore.models.cache import Limits, ModelCache
from tests.support.request_kit import answered
metrics = ServiceMetrics(ModelCache(None, Limits(1, 1)), gate := Gate(), None, {"asked": 2})
gate.at_work = 3
for number in range(int(sys.argv[1])):
    metrics.answered(answered(number))
print(metrics.text().decode())
"""


def test_the_metrics_of_several_workers_are_their_sums_and_a_dead_one_waits_for_nothing(tmp_path: Path) -> None:
    said = []
    for requests in (2, 5):
        command = [sys.executable, "-c", WORKER, str(requests)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), SHARED: str(tmp_path)}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        said.append(dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if line and line[0] != "#"))
    of_requests = 'streamscore_requests_total{model="m",status="200",version="3"}'
    assert [float(metrics[of_requests]) for metrics in said] == [2, 7]
    assert [float(metrics['streamscore_shadow_requests_total{outcome="asked"}']) for metrics in said] == [2, 4]
    assert [float(metrics["streamscore_requests_at_work"]) for metrics in said] == [3, 3]


def test_beyond_a_number_of_versions_the_others_are_counted_together() -> None:
    labels, record = ModelLabels(most=1), answered(1)
    assert labels.of(record) == ("m", "3")
    record.scored = None
    assert labels.of(record) == OTHER
    assert ModelLabels(most=0).of(answered(1)) == OTHER
