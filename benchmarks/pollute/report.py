"""The table of docs/reliability.md."""

from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = ("files", "rows silently wrong", "in files", "clean rows recovered", "refused for another reason", "ended by")


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]], names: Mapping[str, str]) -> Iterator[str]:
    """A line for each reader that was measured, over all its feeds; `names` says what each is."""
    yield f"| reader | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for part, name in names.items():
        if part in results:
            keys = {
                key
                for found in results[part].values()
                for key, value in found.items()
                if isinstance(value, int | float)
            }
            yield _line(name, {key: sum(found[key] for found in results[part].values()) for key in keys})


def _line(name: str, found: Mapping[str, Any]) -> str:
    ended = f"{found['ended_runs']} of {found['runs']} runs" if "runs" in found else f"{found['ended']:,} files"
    share = found["share"] / found["with_clean"] if found["with_clean"] else 0.0
    recovered = f"{int(share * 1000) / 10:.1f} %"  # never rounded up
    misfiled = f"{found['misfiled']:,}" if "runs" in found else ""
    counts = [f"{found[key]:,}" for key in ("files", "wrong", "wrong_files")]
    return f"| {' | '.join([name, *counts, recovered, misfiled, ended])} |"
