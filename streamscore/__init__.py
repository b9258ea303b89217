"""The library under the stream, training and the service; starts nothing, prints nothing.

What `__all__` names is the public API: docs/python-api.md. Each name is imported when it is first asked for, so that
`import streamscore` itself takes no time and needs no Spark, MLflow, pandas or Arrow.

Each folder imports only from those above it.

storage      folders of this machine or of an object store, journals, the lease
landing      which files are new, and which of them make a micro-batch
registry     model versions in MLflow: resolved, verified, promoted
reading      CSV files in, typed rows and rejects out
routing      which model answers for whom
models       a loaded version, and the watch for the next one
tables       parts in, one commit per table, exactly once
following    the new rows of a table, commit by commit
scoring      rows in, predictions out
forecasting  the same for series: observations in, the next steps out
spark        the session, the executors, the UDF
statistics   what columns look like, and how far one distribution is from another

failpoints   kills on demand, for the tests
logs         one JSON line for each log entry
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.feed import load_feed
    from schemas.settings import load_settings
    from streamscore.following.follow_table import follow_table
    from streamscore.registry.registry import open_registry
    from streamscore.spark.session import start_session
    from streamscore.spark.udf import predict_udf
    from streamscore.tables.read_table import read_table

    __version__: str

__all__ = [
    "__version__",
    "follow_table",
    "load_feed",
    "load_settings",
    "open_registry",
    "predict_udf",
    "read_table",
    "start_session",
]

_WHERE = {
    "follow_table": "streamscore.following.follow_table",
    "load_feed": "schemas.feed",
    "load_settings": "schemas.settings",
    "open_registry": "streamscore.registry.registry",
    "predict_udf": "streamscore.spark.udf",
    "read_table": "streamscore.tables.read_table",
    "start_session": "streamscore.spark.session",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("streamscore")
    if name not in _WHERE:
        msg = f"module 'streamscore' has no attribute '{name}'; it exports {', '.join(__all__)}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
