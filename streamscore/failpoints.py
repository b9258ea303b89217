"""Kills and halts on demand, for the tests of exactly-once: no-ops until `arm` is called."""

import os
import signal
import time
from dataclasses import dataclass
from typing import NoReturn

from schemas.errors import SettingsError

POINTS = ("offset", "model_record", "parts", "quarantine", "predictions", "spark_commit", "ledger", "archive")


@dataclass(frozen=True)
class _Armed:
    point: str  # with `:before` or `:after`
    batch_id: int | None
    gate: str  # a path: wait there until it exists, instead of being killed
    driver_pid: int


_armed: _Armed | None = None


def arm(spec: str, driver_pid: int | None = None) -> None:
    """Kill the stream at one point; called by the edge, and again in each worker process of the stream.

    Args:
        spec: `$STREAMSCORE_FAIL_AT`: `<point>:<before|after>[:<batch id>[:<path>]]`; empty disarms. With a path the
            process is not killed, but waits at the point until the path exists; `<path>.<pid>` says that it is there.
        driver_pid: the process to take along; this one when it is not given.

    Raises:
        SettingsError: the text is none of these.
    """
    global _armed
    if not spec:
        _armed = None
        return
    point, when, batch_id, gate = (*spec.split(":", 3), "", "", "")[:4]
    if point not in POINTS or when not in ("before", "after") or not _is_id(batch_id):
        msg = (
            f"STREAMSCORE_FAIL_AT is {spec!r}, wanted <point>:<before|after>[:<batch id>[:<path>]] "
            f"with a point of {', '.join(POINTS)}; unset it or set it right"
        )
        raise SettingsError(msg)
    _armed = _Armed(f"{point}:{when}", int(batch_id) if batch_id else None, gate, driver_pid or os.getpid())


def armed() -> tuple[str, int] | None:
    """What to call `arm` with in another process of the same stream; None if nothing is armed."""
    if _armed is None:
        return None
    batch_id = "" if _armed.batch_id is None else str(_armed.batch_id)
    return f"{_armed.point}:{batch_id}:{_armed.gate}".rstrip(":"), _armed.driver_pid


def fail_at(point: str, batch_id: int | None = None) -> None:
    """Kill -9 the driver and this process, or halt, if armed for this point (`predictions:before`) and batch."""
    if not _armed or _armed.point != point or _armed.batch_id not in (None, batch_id):
        return
    if not _armed.gate:
        _kill(_armed.driver_pid)
    open(f"{_armed.gate}.{os.getpid()}", "w").close()
    while not os.path.exists(_armed.gate):
        time.sleep(0.005)


def _is_id(text: str) -> bool:
    return not text or text.isdecimal()


def _kill(driver_pid: int) -> NoReturn:
    try:
        # The group takes the JVM along, which the driver started; never the group of a test runner that started us.
        if os.getpgid(driver_pid) == driver_pid:
            os.killpg(driver_pid, signal.SIGKILL)
        elif driver_pid != os.getpid():
            os.kill(driver_pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(137)  # never reached: SIGKILL cannot be survived
