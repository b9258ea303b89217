"""Which versions a routed feed's rows are scored by while routes, registry and versions change; without Spark."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from jobs.streaming.early import EarlyScoring
from jobs.streaming.routed.cache_metrics import CacheMetrics
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.records import RoutedRecords
from jobs.streaming.routed.score import RoutedScorer
from schemas.errors import ContractError, RegistryError, SettingsError
from schemas.settings import load_settings
from streamscore.landing.announce import Announcer
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.registry.registry import Registry, open_registry
from streamscore.scoring.routed import NoModel
from streamscore.storage.folder import LocalFolder
from streamscore.tables.tables import Tables
from tests.support.routed_kit import feed_of, text_of
from tests.support.routed_run import Run
from tests.support.wait import until

pytestmark = pytest.mark.trains

FEED = feed_of()
NOWHERE = "http://127.0.0.1:9"
ALPHA, BETA = "models:/alpha@production", "models:/beta@production"
ROUTES = {"keys": {"ann": "alpha", "bob": "beta"}}


@pytest.fixture
def run(tmp_path: Path, registry: Registry) -> Iterator[Run]:
    (tmp_path / "checkpoint").mkdir()
    made = Run(tmp_path, registry)
    made.put(alpha="1", beta="1")
    made.routes(**ROUTES)
    yield made
    made.close()


def scored_by(models: RoutedModels, batch_id: int, *keys: str, note: bool = False) -> dict[str, str]:
    """Each key → its version, or why it has none."""
    router, found = models.router(batch_id), dict[str, str]()
    for key in keys:
        target = router.find(key)
        if isinstance(target, NoModel):
            found[key] = target.why
            continue
        for _, one in router.ready([target]):
            found[key] = one.why if isinstance(one, NoModel) else f"{one.name} {one.version}"
    if note:
        models.note(batch_id, router)
    return found


def test_a_promotion_and_other_routes_come_between_micro_batches(run: Run) -> None:
    models = run.start()
    running = models.router(0)
    run.put(alpha="2")
    until(lambda: ("swapped", "alpha", "2") in run.told)
    assert scored_by(models, 1, "ann", "bob") == {"ann": "alpha 2", "bob": "beta 1"}
    run.routes(keys={"ann": "beta"}, default="models:/alpha/1")
    until(lambda: models.snapshot.table.find("ann").name == "beta")  # type: ignore[union-attr]
    assert scored_by(models, 2, "ann", "bob") == {"ann": "beta 1", "bob": "alpha 1"}
    assert [one.version for _, one in running.ready([(ALPHA,)]) if not isinstance(one, NoModel)] == ["1"]


def test_a_micro_batch_that_is_repeated_has_the_routes_and_the_versions_that_it_had(run: Run) -> None:
    models = run.start()
    assert scored_by(models, 0, "ann", "bob", note=True) == {"ann": "alpha 1", "bob": "beta 1"}
    models.stop()
    run.put(alpha="2")
    run.routes(keys={"ann": "beta", "bob": "alpha"})
    again = run.start(replay_until=0)
    for _ in range(2):  # a try that failed is one, too
        assert scored_by(again, 0, "ann", "bob", note=True) == {"ann": "alpha 1", "bob": "beta 1"}
    assert scored_by(again, 1, "ann", "bob", note=True) == {"ann": "beta 1", "bob": "alpha 2"}
    lines = (run.root / "checkpoint" / "routed.jsonl").read_text().splitlines()
    assert len(lines) == 2
    scored_by(again, 2, "ann", note=True)
    assert (run.root / "checkpoint" / "routed.jsonl").read_text().splitlines() == lines  # nothing new, nothing written


def test_a_version_that_does_not_fit_is_refused_once_and_the_one_that_scored_goes_on(run: Run) -> None:
    models = run.start()
    scored_by(models, 0, "ann", note=True)
    run.put(alpha="3")
    until(lambda: ("refused", "alpha", "3") in run.told)
    assert scored_by(models, 1, "ann") == {"ann": "alpha 1"}
    time.sleep(0.3)
    assert run.told.count(("refused", "alpha", "3")) == 1
    models.stop()
    assert scored_by(run.start(replay_until=0), 1, "ann") == {"ann": "alpha 1"}  # after a restart, too


def test_a_version_that_does_not_fit_and_a_model_that_is_not_there_cost_their_rows_until_there_is_one(run: Run) -> None:
    run.put(alpha="3")
    run.take_away("beta")
    run.routes(**ROUTES, default="models:/alpha/1")
    models = run.start()
    found = scored_by(models, 0, "ann", "bob", "cid")
    assert found["ann"].startswith(f"whose route is {ALPHA}: model alpha v3 does not fit feed orders: 'c' is missing")
    assert found["bob"].startswith(f"whose route is {BETA}: no {BETA} in sqlite:")
    assert found["cid"] == "alpha 1"
    run.put(alpha="2", beta="1")
    until(lambda: scored_by(models, 1, "ann", "bob") == {"ann": "alpha 2", "bob": "beta 1"})


def test_a_candidate_of_a_canary_scores_the_keys_that_the_service_gives_it(run: Run) -> None:
    canary = {"model": "models:/alpha/2", "percent": 50}
    run.routes(default={"model": "alpha", "canary": canary})
    models = run.start()
    keys = [f"customer-{number}" for number in range(40)]
    route = models.snapshot.table.find("x")
    assert route and route.canary
    wanted = {key: f"alpha {2 if route.canary.has(key) else 1}" for key in keys}
    assert scored_by(models, 0, *keys) == wanted
    assert len(set(wanted.values())) == 2
    models.stop()
    run.routes(default={"model": "alpha", "canary": {"model": "models:/alpha/3", "percent": 100}})
    assert scored_by(run.start(), 1, "ann") == {"ann": "alpha 1"}  # a trial costs no row


def test_while_the_registry_is_away_rows_wait_unless_a_version_scored_before(run: Run) -> None:
    nowhere = open_registry(load_settings(flags={"registry.tracking_uri": NOWHERE}))
    models = run.start()
    scored_by(models, 0, "ann", note=True)
    models.stop()
    with pytest.raises(RegistryError):
        run.start(registry=nowhere)
    run.routes(keys={"ann": "alpha", "bob": "gamma"})
    with pytest.raises(RegistryError):  # gamma is not known, and the first models are chosen at the start
        run.start(registry=nowhere, **{"registry.start_without": True})
    run.routes(keys={"ann": "alpha"})
    again = run.start(registry=nowhere, **{"registry.start_without": True})
    assert scored_by(again, 1, "ann") == {"ann": "alpha 1"}
    run.routes(keys={"ann": "alpha", "bob": "gamma"})
    until(lambda: again.snapshot.table.find("bob") is not None)
    with pytest.raises(RegistryError):
        scored_by(again, 2, "bob")


def test_routes_without_a_model_that_fits_are_refused_at_the_start(run: Run) -> None:
    run.routes(keys={"ann": None})
    with pytest.raises(SettingsError, match=r"no route in .* has a model"):
        run.start()
    run.routes(default="models:/alpha/3")
    with pytest.raises(ContractError, match="no route has a model that can score feed orders"):
        run.start()
    run.routes(default="models:/alpha/1")
    with pytest.raises(ContractError, match="predicts double, the predictions table holds string"):
        run.start(output=pa.string())


def test_files_of_a_version_that_are_gone_are_fetched_again(run: Run) -> None:
    models = run.start()
    scored_by(models, 0, "ann", note=True)
    models.stop()
    shutil.rmtree(run.root / "models")
    assert scored_by(run.start(replay_until=0), 0, "ann") == {"ann": "alpha 1"}


@pytest.fixture
def scorer_of(run: Run) -> Iterator[Callable[[RoutedModels], tuple[RoutedScorer, EarlyScoring, Tables]]]:
    ahead = EarlyScoring()

    def make(models: RoutedModels) -> tuple[RoutedScorer, EarlyScoring, Tables]:
        settings = load_settings(flags={"streaming.mode": "driver"})
        tables = Tables(run.root / "tables", FEED, settings.tables, settings.storage)
        tables.create(pa.float64())
        landing = (run.root / "landing").as_uri()
        scorer = RoutedScorer(settings.streaming, tables, app_id="a", landing=landing, models=models, early=ahead)
        ahead.listen(lambda manifest: scorer.score_early(manifest.seq, manifest), lambda _: None)
        return scorer, ahead, tables

    yield make
    ahead.close()


def a_manifest(run: Run, seq: int) -> BatchManifest:
    (run.root / "landing").mkdir(exist_ok=True)
    path = run.root / "landing" / f"{seq}.csv"
    path.write_bytes(text_of([("ann", 1.0, 0.0), ("bob", 2.0, 0.0)]))
    status = path.stat()
    return BatchManifest(seq, (LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns),))


@pytest.mark.parametrize("changes", [False, True])
def test_what_was_scored_early_is_taken_up_if_no_route_and_no_version_changed(
    run: Run, scorer_of: Callable[[RoutedModels], tuple[RoutedScorer, EarlyScoring, Tables]], changes: bool
) -> None:
    models = run.start()
    scorer, ahead, tables = scorer_of(models)
    manifest = a_manifest(run, 1)
    Announcer(ahead.address).announce(manifest.to_offset())
    until(lambda: ahead._scored is not None)
    assert ahead._scored
    early = ahead._scored[1]
    if changes:
        run.put(alpha="2")
        until(lambda: ("swapped", "alpha", "2") in run.told)
    done = scorer.score(None, 1, manifest)
    assert (done.parts == early) == (not changes)
    assert {(one.name, one.version) for one in done.versions} == {("alpha", "2" if changes else "1"), ("beta", "1")}
    assert len(list(Path(tables.folders[0]).glob("part-*"))) == 1
    recorded = RoutedRecords(LocalFolder(run.root / "checkpoint"))
    assert recorded.versions[ALPHA].model.version == ("2" if changes else "1")
    assert replace(done.batch, model=None) == done.batch


def test_the_models_in_memory_are_told_to_prometheus(run: Run) -> None:
    run.routes(**ROUTES, default="models:/alpha/3")
    models = run.start()
    registry = CollectorRegistry()
    registry.register(CacheMetrics("orders", models.cache))
    scored_by(models, 0, "ann", "bob")
    names = "models_in_memory", "model_cache_hits_total", "model_loads_total", "model_load_failures_total"
    found = [registry.get_sample_value(f"streamscore_{name}", {"feed": "orders"}) for name in names]
    assert found == [2, 2, 2, 1]
    size = registry.get_sample_value("streamscore_model_bytes", {"feed": "orders"})
    assert size and size == models.cache.size
