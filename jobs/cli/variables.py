"""Variables that libraries read at a time of their own, written once: before this process has a second thread.

A write to the environment while C code in another thread reads it can end a process. What is there already with the
same value is written by nobody.
"""

import os

from schemas.settings import Settings
from streamscore.registry.connection import store_variables
from streamscore.registry.mlflow_module import QUIET
from streamscore.registry.registry import open_registry
from streamscore.storage.object_store import certificate_variables

# Of libraries that would write them when they are imported or started, with the values that these give them.
OF_LIBRARIES = {
    "KMP_DUPLICATE_LIB_OK": "True",  # scikit-learn
    "KMP_INIT_AT_FORK": "FALSE",
    "SPARK_AUTH_SOCKET_TIMEOUT": "15",  # pyspark, for the workers that it starts itself
    "SPARK_BUFFER_SIZE": "65536",
}
# Of a process with MLflow's telemetry that starts this one: MLflow takes it away when it is imported without.
OF_OTHERS = ("_MLFLOW_TELEMETRY_SESSION_ID",)


def write_variables(settings: Settings, *, registry: bool = False) -> Settings:
    """Write what the libraries of a command need; gives the settings back.

    Args:
        registry: MLflow's two URIs as well, which calls of a training export; for a process with one registry only.
    """
    for name, value in (QUIET | OF_LIBRARIES).items():
        if name not in os.environ:
            os.environ[name] = value
    for name in OF_OTHERS:
        os.environ.pop(name, None)
    wanted = store_variables(settings.storage) | certificate_variables(settings.storage)
    if registry:
        opened = open_registry(settings)
        wanted |= {"MLFLOW_TRACKING_URI": opened.tracking_uri, "MLFLOW_REGISTRY_URI": opened.registry_uri}
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    return settings
