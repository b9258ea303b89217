"""What operators want of every worker: models loaded and unloaded, as lines of a file that all workers follow."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from jobs.serving.requests.problems import RequestError
from schemas.settings import PREFIX

log = structlog.get_logger()

WISHES = PREFIX + "WISHES"  # the variable that names the file
LOOK_SECONDS = 0.5  # between two looks at what the other workers were asked


class Wishes:
    """Models to be loaded or unloaded, in the order in which the workers were asked.

    Whoever was asked does it at once and writes it down; the others do it at their next look, and a worker that takes
    the place of one that died begins with all of it.
    """

    def __init__(self, file: Path | None) -> None:
        """Follow a file.

        Args:
            file: None: there is only one worker.
        """
        self._file, self._seen = file, 0

    def add(self, name: str, is_loaded: bool) -> None:
        """Tell the other workers."""
        if self._file is None:
            return
        line = json.dumps({"name": name, "loaded": is_loaded}) + "\n"
        handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line.encode())  # in one piece, so that lines of two workers do not mix
        finally:
            os.close(handle)

    def take(self) -> dict[str, bool]:
        """What is new: whether each model is to be loaded, by its name; the last wish counts."""
        if self._file is None or not self._file.exists() or self._file.stat().st_size == self._seen:
            return {}
        with self._file.open("rb") as file:
            file.seek(self._seen)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._seen += len(whole)
        return {wish["name"]: wish["loaded"] for wish in map(json.loads, whole.splitlines())}

    async def follow(self, load: Callable[[str], Awaitable[object]], unload: Callable[[str], None]) -> None:
        """Do what is new; for ever."""
        while self._file is not None:
            for name, is_loaded in self.take().items():
                try:
                    if is_loaded:
                        await load(name)
                    else:
                        unload(name)
                except RequestError as error:
                    log.warning("not_loaded", model=name, detail=error.detail)
                except Exception:
                    log.exception("wish_failed", model=name)
            await asyncio.sleep(LOOK_SECONDS)
