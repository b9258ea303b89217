"""The online service: whether it answers or could be started, its keys, and the spool of its log."""

import http.client
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from jobs.operations.doctor.result import Check
from jobs.serving.access.listening import assert_may_listen
from jobs.serving.request_log.account import Balance, read_balance
from schemas.errors import SettingsError
from schemas.settings import Serving, Settings

SECONDS = 3.0


def check_service(settings: Settings) -> Iterator[Check]:
    """All of them are warnings, but for settings with which no service starts: a stream runs without one."""
    yield check_port(settings.serving)
    yield check_keys(settings.serving)
    if settings.request_log.share:
        yield check_spool(Path(settings.request_log.spool).absolute())


def check_port(serving: Serving) -> Check:
    """Whether the service answers, or its port is free."""
    host = "127.0.0.1" if serving.host in ("0.0.0.0", "::", "") else serving.host
    place = f"{host}:{serving.port}"
    connection = http.client.HTTPConnection(host, serving.port, timeout=SECONDS)
    other = f"streamscore serve --port {serving.port + 1}"
    try:
        connection.request("GET", "/v2/health/ready")
        answer = connection.getresponse()
        is_ours = b'"ready"' in answer.read(1000)
    except ConnectionRefusedError:
        return Check("service", True, f"none answers on {place}, which is free")
    except (OSError, http.client.HTTPException) as error:
        return Check("service", False, f"what listens on {place} does not answer: {error}", other)
    finally:
        connection.close()
    if not is_ours:
        return Check("service", False, f"another program listens on {place}, wanted a free port", other)
    if answer.status == 200:
        return Check("service", True, f"answers on {place}, ready")
    return Check("service", False, f"answers on {place}, and is not ready", f"curl -s http://{place}/models")


def check_keys(serving: Serving) -> Check:
    """Whether the settings let the service listen, and which keys have expired."""
    try:
        assert_may_listen(serving)
    except SettingsError as error:
        found, _, _ = str(error).partition("; ")
        return Check("keys", False, found, "streamscore serve-key NAME --admin", error.exit_code)
    over = [key.name for key in serving.keys if key.is_over()]
    if over:
        return Check(
            "keys", False, f"{', '.join(over)} expired, nobody gets in with them", "streamscore serve-key NAME"
        )
    return Check("keys", True, f"{len(serving.keys)} keys" if serving.keys else "no keys, so loopback only")


def check_spool(root: Path) -> Check:
    """Whether the log of requests has a place on disk, and what waits or was lost there."""
    folder = next(path for path in (root, *root.parents) if path.is_dir())
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = f"chmod u+rwx {shlex.quote(str(folder))}"
        return Check("spool", False, f"{folder} cannot be written, wanted a place for requests", fix)
    found = Balance.of(read_balance(path) for path in root.iterdir()) if root.is_dir() else Balance()
    said = f"{root}, {found.answered:,} requests: {found.logged:,} logged, {found.waiting:,} waiting"
    said += f", {found.sampled_out:,} sampled out, {found.lost:,} lost"
    return Check("spool", True, said)
