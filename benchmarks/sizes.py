"""How much is measured: `default` fits into 45 minutes on two cores, `full` has all sizes, `smoke` is for CI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ALL = (
    "streamscore",
    "streamscore-executors",
    "streamscore-spark",
    "streamscore-spark-executors",
    "loop",
    "article",
    "article_tuned",
    "bytewax",
    "pathway",
)
MAIN = ("streamscore", "article", "loop")
ROOT = Path(__file__).parents[1]
FAST, MIDDLE, SLOW = "fast", "middle", "slow"
# how many batches a contestant gets; a slow one takes seconds for each
PACE = {
    "loop": MIDDLE,  # it is the floor while its table is young: 10 ms for 400 commits, 190 ms after 1,250
    "article": SLOW,
    "article_tuned": SLOW,
    "streamscore-spark": SLOW,
    "streamscore-spark-executors": SLOW,
    "streamscore-executors": MIDDLE,
    "bytewax": MIDDLE,
    "pathway": MIDDLE,
}


@dataclass(frozen=True, slots=True)
class Load:
    """A catch-up: files of rows that wait when the command is given.

    Attributes:
        max_files: of a micro-batch, for those who bound it.
        contestants: by name.
        seconds: at most, for each of them.
    """

    files: int
    rows: int
    max_files: int
    contestants: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of all parts.

    Attributes:
        minutes: no part goes on for longer than its own; what it has by then counts.
        all_minutes: nor does the whole run.
        rounds: in each, every contestant has its turn.
        files: steady 100-row batches of a contestant by its pace, over all rounds.
        warm: batches before the first round, which do not count; nor do the first `again` of each turn: Spark ends
            Python workers that had nothing to do for a minute, and its own file source takes 8 s to come to itself.
        landed: numbers of processed files in the landing folder at which latency is measured.
        commits: after so many of them latency is measured against the first.
        idle, steady, serving: seconds; serving of each load and server.
        models, loads_and_unloads: registered models that are served; how many of them one after the other.
        soak: seconds at half load.
        environment: of all contestants, more than they have by themselves.
        at_once: parts that run at the same time.
    """

    minutes: Mapping[str, float]
    all_minutes: float
    rounds: int
    files: Mapping[str, int]
    warm: Mapping[str, int]
    again: Mapping[str, int]
    starts: int
    model_files: int
    loads: Mapping[str, Load]
    memory_files: int
    idle: float
    steady: float
    serving: float
    drift: int
    drift_of_others: int
    models: int
    loads_and_unloads: int
    soak: float
    landed: tuple[int, ...]
    landed_slow: tuple[int, ...]
    landed_files: int
    commits: int
    store_files: int
    contestants: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str] = field(default_factory=dict)
    at_once: int = 1


LOADS = {
    "1 M rows in 200 files": Load(200, 5000, 50, (*ALL[:2], *ALL[4:]), 110),
    "20,000 files of 50 rows": Load(20_000, 50, 1000, MAIN, 45),
}
CONTESTANTS = {
    "latency": ALL,
    "large_models": MAIN,
    "start_up": MAIN,
    "memory": ("streamscore",),
    "idle": ("streamscore", "article"),
    "landed": ("streamscore", "streamscore-archive", "article_tuned"),
    "commits": ("streamscore",),
    "left_behind": ("streamscore", "article"),
    "object_store": ("streamscore", "article_tuned"),
}
MINUTES = {
    "latency": 14.5,
    "large_models": 3.4,
    "catch_up": 6.5,
    "start_up": 3,
    "memory": 1,
    "idle": 1.8,
    "growth": 8,
    "left_behind": 1.5,
    "object_store": 2.2,
    "serving": 12,
    "drift": 20,
}
ALONE = ("serving", "drift")  # measured only where they are named: they take as long as the goals of a run allow


DEFAULT = Sizes(
    minutes=MINUTES,
    all_minutes=44,
    rounds=5,
    files={FAST: 2000, MIDDLE: 100, SLOW: 30},
    warm={FAST: 100, MIDDLE: 20, SLOW: 3},
    again={FAST: 2, MIDDLE: 3, SLOW: 1},
    starts=3,
    model_files=100,
    loads=LOADS,
    memory_files=2000,
    idle=30,
    steady=20,
    serving=8,
    drift=100,
    drift_of_others=40,
    models=10_000,
    loads_and_unloads=500,
    soak=60,
    landed=(0, 1000, 10_000, 100_000),
    landed_slow=(0, 1000),
    landed_files=60,
    commits=10_000,
    store_files=200,
    contestants=CONTESTANTS,
)
FULL = Sizes(
    minutes=dict.fromkeys(MINUTES, 60) | {"catch_up": 200},
    all_minutes=600,
    rounds=20,
    files={FAST: 4000, MIDDLE: 2000, SLOW: 100},
    warm={FAST: 200, MIDDLE: 100, SLOW: 5},
    again={FAST: 2, MIDDLE: 3, SLOW: 1},
    starts=5,
    model_files=500,
    loads={
        "1 M rows in 200 files": Load(200, 5000, 50, ALL, 300),
        "20,000 files of 50 rows": Load(20_000, 50, 1000, ALL, 600),
        "10 M rows in 2,000 files": Load(2000, 5000, 50, ALL, 1200),
    },
    memory_files=2000,
    idle=60,
    steady=300,
    serving=30,
    drift=200,
    drift_of_others=100,
    models=10_000,
    loads_and_unloads=500,
    soak=3600,
    landed=(0, 1000, 10_000, 100_000),
    landed_slow=(0, 1000, 10_000, 20_000),
    landed_files=200,
    commits=10_000,
    store_files=1000,
    contestants={**CONTESTANTS, "memory": MAIN, "idle": ALL, "start_up": ALL, "left_behind": ALL},
)
SMOKE = Sizes(
    minutes=dict.fromkeys(MINUTES, 10),
    all_minutes=30,
    rounds=1,
    files={FAST: 2, MIDDLE: 1, SLOW: 1},
    warm={FAST: 1, MIDDLE: 0, SLOW: 0},
    again={FAST: 0, MIDDLE: 0, SLOW: 0},
    starts=1,
    model_files=1,
    loads={"500 rows in 10 files": Load(10, 50, 5, ("streamscore-spark-executors",), 300)},
    memory_files=2,
    idle=1,
    steady=1,
    serving=1,
    drift=2,
    drift_of_others=1,
    models=20,
    loads_and_unloads=20,
    soak=2,
    landed=(0, 20),
    landed_slow=(0,),
    landed_files=2,
    commits=4,
    store_files=2,
    contestants={  # each part, and each contestant in one of them at least: a start takes 10 to 50 s of a processor
        "latency": ("streamscore", "article_tuned"),
        "large_models": ("loop",),
        "start_up": ("article",),
        "memory": ("streamscore-executors",),
        "idle": ("streamscore-spark",),
        "landed": ("pathway",),
        "commits": ("bytewax",),
        "left_behind": ("loop",),
        "object_store": ("streamscore",),
    },
    environment={  # less to do for a process that lives for a minute
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "SPARK_HOME": str(ROOT / ".jars" / "spark"),
        "STREAMSCORE_SPARK__MASTER": "local[1]",
    },
    at_once=3,
)
KINDS = {"default": DEFAULT, "full": FULL, "smoke": SMOKE}
