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


def processes(root: psutil.Process) -> list[psutil.Process]:
    """The process and its descendants; Spark's Python workers are in a group of their own, so a group will not do.

    None where it has ended: a number that another process has by now is not taken for it.
    """
    try:
        return [root, *root.children(recursive=True)]
    except GONE:
        return []


def tell(root: psutil.Process, number: signal.Signals) -> None:
    """Send all of them a signal."""
    for process in processes(root):
        with contextlib.suppress(*GONE):
            process.send_signal(number)


def end(root: psutil.Process) -> None:
    """Kill all of them, and wait until they are gone."""
    found = processes(root)
    for process in found:
        with contextlib.suppress(*GONE):
            process.kill()
    psutil.wait_procs(found, timeout=10)


def memory(root: psutil.Process) -> Memory:
    """What they hold now."""
    rss = pss = 0
    for process in processes(root):
        with contextlib.suppress(*GONE):
            found = process.memory_full_info()
            rss, pss = rss + found.rss, pss + found.pss
    return Memory(rss, pss)


def processor_seconds(root: psutil.Process) -> float:
    """What they have used since they were started, ended children included."""
    used = 0.0
    for process in processes(root):
        with contextlib.suppress(*GONE):
            used += sum(process.cpu_times()[:4])  # user, system, and both of ended children
    return used
