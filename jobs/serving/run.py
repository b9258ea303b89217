"""Starts the service: one process, or several behind one port."""

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import uvicorn
import uvloop  # noqa: F401  without it, uvicorn is half as fast

from jobs.serving.access.listening import assert_may_listen
from jobs.serving.models.wishes import WISHES
from jobs.serving.protocol import BoundedProtocol
from schemas.settings import PREFIX, Settings, as_variables
from streamscore.logs import configure_logging

SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client sums what the workers put there


def serve(settings: Settings) -> None:
    """Answer until SIGTERM or Ctrl-C; what is being answered then is finished.

    Raises:
        SettingsError: others could ask without a key.
    """
    configure_logging(debug=False)
    serving = settings.serving
    assert_may_listen(serving)
    if serving.workers > 1:  # they load the same settings from the environment
        os.environ |= as_variables("serving", serving.model_dump(mode="json", exclude={"keys"}))  # followed in the file
        os.environ |= as_variables("registry", settings.registry.model_dump(mode="json"))
        os.environ[PREFIX + "PROFILE"] = settings.profile
        shared = Path(tempfile.mkdtemp(prefix="streamscore-workers-"))
        atexit.register(shutil.rmtree, shared, ignore_errors=True)
        (shared / "metrics").mkdir()
        os.environ |= {SHARED_METRICS: str(shared / "metrics"), WISHES: str(shared / "wishes")}
    from jobs.serving.app import create_app

    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn stops, and then sends itself the signal again
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        "jobs.serving.app:create_worker" if serving.workers > 1 else create_app(settings),
        factory=serving.workers > 1,
        host=serving.host,
        port=serving.port,
        workers=serving.workers,
        loop="uvloop",
        http=BoundedProtocol,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,  # longer than a proxy keeps a connection, so that it never meets a closing one
        timeout_graceful_shutdown=30,
        timeout_worker_healthcheck=60,  # a load may hold the interpreter for seconds; who has ended is seen at once
        reset_contextvars=True,  # else requests sent one behind the other on a connection know of each other
        limit_concurrency=serving.max_connections,
    )
