"""A process and all that it started: stopped, continued, ended; its memory and its processor time."""

import contextlib
import signal
from dataclasses import dataclass

import psutil

GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a whole tree, bytes. Pages that processes share count once in `pss`, and in each of them in `rss`."""

    rss: int
    pss: int


def processes(pid: int) -> list[psutil.Process]:
    """The process and its descendants; Spark's Python workers are in a group of their own, so a group will not do."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except GONE:
        return []


def tell(pid: int, number: signal.Signals) -> None:
    """Send all of them a signal."""
    for process in processes(pid):
        with contextlib.suppress(*GONE):
            process.send_signal(number)


def end(pid: int) -> None:
    """Kill all of them, and wait until they are gone."""
    found = processes(pid)
    for process in found:
        with contextlib.suppress(*GONE):
            process.kill()
    psutil.wait_procs(found, timeout=10)


def memory(pid: int) -> Memory:
    """What they hold now."""
    rss = pss = 0
    for process in processes(pid):
        with contextlib.suppress(*GONE):
            found = process.memory_full_info()
            rss, pss = rss + found.rss, pss + found.pss
    return Memory(rss, pss)


def processor_seconds(pid: int) -> float:
    """What they have used since they were started, ended children included."""
    used = 0.0
    for process in processes(pid):
        with contextlib.suppress(*GONE):
            used += sum(process.cpu_times()[:4])  # user, system, and both of ended children
    return used
