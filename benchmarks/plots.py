"""Three pictures of a run, as SVG: the same figures give the same bytes."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import median

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Text stays text, identifiers do not change, and what matplotlib says of itself is left out.
LOOKS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "streamscore", "font.family": "sans-serif"}
NOTHING = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw(parts: Mapping[str, Any], folder: Path) -> None:
    """Latency distribution, rows against time, latency against landed files; those that were measured."""
    pictures: dict[str, tuple[Callable[[Any, Any], None], Any]] = {
        "latency": (latency, parts.get("latency")),
        "throughput": (throughput, parts.get("catch_up")),
        "landed": (landed_files, parts.get("growth", {}).get("landed")),
    }
    for name, (plot, found) in pictures.items():
        if found:
            save(folder / f"{name}.svg", plot, found)


def save(path: Path, plot: Callable[[Any, Any], None], found: Any) -> None:
    """One picture; of addresses only the names of SVG's own namespaces are in it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOKS):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        plot(axes, found)
        axes.grid(alpha=0.3)
        figure.legend(fontsize="small", loc="outside right upper")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=NOTHING)
        path.write_text(text.getvalue()[text.getvalue().index("<svg") :], "utf-8")


def latency(axes: "Axes", found: Mapping[str, Any]) -> None:
    """The share of batches that were visible after so many milliseconds."""
    for name, of in found.items():
        waits = sorted(1000 * wait for wait in of["waits_s"])
        axes.step(waits, [(n + 1) / len(waits) for n in range(len(waits))], where="post", label=name)
    axes.set(xscale="log", xlabel="file rename → visible commit, ms", ylabel="share of micro-batches", ylim=(0, 1))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def throughput(axes: "Axes", found: Mapping[str, Any]) -> None:
    """The rows of the first load that could be seen so many seconds after the command."""
    title, load = next(iter(found.items()))
    for name, run in load["contestants"].items():
        seconds, rows = [0.0], [0]
        for at, count in run["commits"]:
            seconds.append(at)
            rows.append(rows[-1] + count)
        axes.step(seconds, rows, where="post", label=name)
    axes.set(xlabel=f"seconds from the command, {title}", ylabel="rows that can be seen", xlim=(0, None))
    axes.yaxis.set_major_formatter("{x:,.0f}")


def landed_files(axes: "Axes", found: Mapping[str, Any]) -> None:
    """Median latency against the number of processed files in the landing folder."""
    for name, of in found.items():
        counts = sorted(of, key=int)
        axes.plot([int(n) for n in counts], [1000 * median(of[n]) for n in counts], marker="o", label=name)
    axes.set(
        xscale="symlog", yscale="log", xlabel="processed files in the landing folder", ylabel="p50, ms", xlim=(0, None)
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
