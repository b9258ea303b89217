"""A service whose models come and go: promotions, many models, a large one, memory."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.bench import Bench
from benchmarks.models import ELASTIC_NET, FOREST
from benchmarks.roster import FEED
from benchmarks.wrk import CONNECTIONS, Load, figures
from schemas.settings import load_settings
from streamscore.registry.registry import open_registry

if TYPE_CHECKING:
    from benchmarks.parts.serving import Server

RESIDENT, EXPONENT, SEED = 200, 1.1, 1
LONGEST = 90.0  # seconds for all loads of one measurement of memory
ALIAS = f"models:/{FEED}@production"
ENVIRONMENT = {
    "STREAMSCORE_SERVING__MAX_MODELS": str(RESIDENT + 1),  # the named one stays
    "STREAMSCORE_REGISTRY__POLL_SECONDS": "1",
}
COPIED = ("registered_models", "model_versions", "model_version_tags", "registered_model_aliases")


def register(bench: Bench) -> str:
    """Thousands of registered models with the files of one, by SQL; the URI of that one."""
    version = bench.models[ELASTIC_NET].rpartition("/")[2]
    promote(bench, version)
    with sqlite3.connect(bench.scratch / "mlflow.db") as database:
        for table in COPIED:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            chosen = f"SELECT * FROM {table} WHERE name = ?" + (" AND version = ?" if "version" in columns else "")
            rows = database.execute(chosen, (FEED, version)[: chosen.count("?")]).fetchall()
            at = columns.index("name")
            copies = ((*row[:at], f"m{number}", *row[at + 1 :]) for number in range(bench.sizes.models) for row in rows)
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", copies)
    return ALIAS


def promote(bench: Bench, version: str) -> None:
    """Put a version into Production."""
    registry = open_registry(load_settings(flags={"registry.tracking_uri": bench.environment["MLFLOW_TRACKING_URI"]}))
    with registry.connection.reaching() as client:
        client.set_registered_model_alias(FEED, "production", version)


def promotion(server: "Server") -> Any:
    """p99 at full load: quiet, and while another version is promoted and taken back; failed requests."""
    load, seconds, bench = Load(server.body(1)), server.bench.sizes.serving, server.bench
    load.run(server.port, seconds / 4)
    quiet = load.run(server.port, seconds)
    versions = [bench.models[model].rpartition("/")[2] for model in (FOREST, ELASTIC_NET)]
    with load.begin(server.port, 2 * seconds) as running:
        for version in versions:
            time.sleep(seconds / 3)
            promote(bench, version)
        said = running.communicate()[0]
    return {"quiet": quiet, "promoted": figures(said)}


def many(server: "Server") -> Any:
    """Keys by Zipf's law: the hit rate, that of an ideal LRU, and the slowest request."""
    bench = server.bench
    ranks = np.arange(1, bench.sizes.models + 1)
    shares = ranks**-EXPONENT
    random = np.random.default_rng(SEED)
    keys = random.choice(ranks, 40 * round(bench.sizes.serving) * CONNECTIONS, p=shares / shares.sum()) - 1
    loads = server.metric("streamscore_model_loads_total")
    load = Load(server.body(1), paths=[f"/models/m{key}/predict" for key in keys])
    found = load.run(server.port, 4 * bench.sizes.serving)
    loads = server.metric("streamscore_model_loads_total") - loads
    asked = np.resize(keys, int(found["requests"])).tolist()
    hit_rate = 1 - loads / max(1, len(asked))  # who waits for the load of another is none more
    return {**found, "hit_rate": hit_rate, "ideal": ideal_hit_rate(asked, RESIDENT)}


def ideal_hit_rate(keys: list[int], room: int) -> float:
    """Of a cache that forgets what was not used for longest."""
    held: dict[int, None] = {}
    hits = 0
    for key in keys:
        hits += key in held
        held.pop(key, None)
        held[key] = None
        if len(held) > room:
            del held[next(iter(held))]
    return hits / max(1, len(keys))


def first_calls(server: "Server") -> Any:
    """A thousand connections ask for one model that is not in memory: the loads."""
    loads = settled(server, "streamscore_model_loads_total")  # those of what was asked for before are no part of it
    name = f"m{server.bench.sizes.models - 1}"
    found = Load(server.body(1), f"/models/{name}/predict", connections=1000).run(server.port, 2)
    return {**found, "loads": server.metric("streamscore_model_loads_total") - loads}


def settled(server: "Server", metric: str) -> float:
    """A metric once it has stayed as it is for a second."""
    before, now = -1.0, server.metric(metric)
    while now != before:
        time.sleep(1)
        before, now = now, server.metric(metric)
    return now


def beside_a_load(server: "Server") -> Any:
    """p99 at half load while the forest loads, again and again."""
    load = Load(server.body(1), pause=0.01)
    quiet = load.run(server.port, server.bench.sizes.serving)
    forest = server.bench.models[FOREST].rpartition("/")[2]
    with load.begin(server.port, server.bench.sizes.serving) as running:
        Load(server.body(1), f"/models/{FEED}/versions/{forest}/predict", connections=1).run(server.port, 1)
        said = running.communicate()[0]
    return {"quiet": quiet, "loading": figures(said)}


def soak(server: "Server") -> Any:
    """Memory at half load, after a fifth of the time and at its end."""
    seconds = server.bench.sizes.soak
    with Load(server.body(1), pause=0.01).begin(server.port, seconds) as running:
        time.sleep(seconds / 5)
        first = server.memory
        said = running.communicate()[0]
    return {**figures(said), "seconds": seconds, "first": first, "last": server.memory}


def come_and_go(server: "Server") -> Any:
    """Memory after the first 50 loads of models, of which 20 fit, and after all."""
    memory = {}
    count = min(server.bench.sizes.loads_and_unloads, server.bench.sizes.models)
    paths = [f"/models/m{number}/predict" for number in range(count)]
    for until in (min(50, count), count):
        load = Load(server.body(1), paths=paths, connections=1)
        ends = time.monotonic() + LONGEST
        while server.metric("streamscore_model_loads_total") < until and time.monotonic() < ends:
            load.run(server.port, 1)
        memory[until] = server.memory
    first, last = memory[min(50, count)], memory[count]
    return {"loads": server.metric("streamscore_model_loads_total"), "first": first, "last": last}


PARTS: Mapping[str, Callable[["Server"], Any]] = {
    "promotion": promotion,
    "many": many,
    "first_calls": first_calls,
    "beside_a_load": beside_a_load,
    "soak": soak,
}
