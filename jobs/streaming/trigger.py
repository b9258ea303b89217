"""When a micro-batch starts: `0s`, `5 minutes`, `available-now`."""

import re

from schemas.errors import SettingsError

AVAILABLE_NOW = "available-now"
_UNITS = {"": "seconds", "s": "seconds", "sec": "seconds", "ms": "milliseconds", "m": "minutes", "min": "minutes"}
_WORDS = ("milliseconds", "seconds", "minutes", "hours", "days")


def parse_trigger(text: str) -> dict[str, str | bool]:
    """The keyword of `DataStreamWriter.trigger` for a `--trigger`.

    Raises:
        SettingsError: `continuous`, or no time.
    """
    wanted = text.strip().lower()
    if wanted in (AVAILABLE_NOW, "once"):
        return {"availableNow": True}
    if wanted.startswith("continuous"):
        msg = (
            f"--trigger {text}: continuous processing cannot write a table exactly once, "
            "wanted 0s, '5 minutes' or available-now; for the lowest latency: --trigger 0s"
        )
        raise SettingsError(msg)
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", wanted)
    if match:
        unit = _UNITS.get(match[2], match[2].rstrip("s") + "s")
        if unit in _WORDS:
            return {"processingTime": f"{match[1]} {unit}"}
    msg = f"--trigger {text} is no time, wanted 0s, 500ms, '5 minutes' or available-now"
    raise SettingsError(msg)
