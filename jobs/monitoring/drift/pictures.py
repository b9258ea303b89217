"""Charts of a column as SVG: its distribution now and in each baseline, and how its effect went."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

from streamscore.statistics.sketches import ColumnSketch

WIDTH, HEIGHT, BINS, VALUES = 360, 120, 24, 8
LABEL_LENGTH = 24


def distribution(now: ColumnSketch, before: Mapping[str, ColumnSketch]) -> Markup:
    """The window as bars, each baseline as a line of steps over them; of values, as a bar for each.

    Args:
        before: by the name of the baseline, of the same kind.
    """
    there = {name: of for name, of in before.items() if of.kind == now.kind and of.known}
    if not now.known or now.kind == "time":
        return Markup("")
    return _of_numbers(now, there) if now.kind == "number" else _of_values(now, there)


def effects(values: Sequence[tuple[float, float, bool]]) -> Markup:
    """The effect of each window, oldest first: (effect, floor, drifted); a line for the floor."""
    if not values:
        return Markup("")
    most = max(1e-9, *(effect for effect, _, _ in values), *(2 * floor for _, floor, _ in values))
    step, floor = WIDTH / len(values), values[-1][1]
    bars = [
        Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            "hot" if drifted else "bar", at * step, 40 - 40 * effect / most, max(1, step - 1), 40 * effect / most
        )
        for at, (effect, _, drifted) in enumerate(values)
    ]
    line = Markup('<line class="floor" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
        WIDTH, y=40 - 40 * floor / most
    )
    said = f"effect of {len(values)} windows; {sum(drifted for _, _, drifted in values)} drifted"
    return _svg([*bars, line], 40, said)


def _of_numbers(now: ColumnSketch, before: Mapping[str, ColumnSketch]) -> Markup:
    every = np.concatenate([now.quantiles, *(of.quantiles for of in before.values())])
    low, high = np.quantile(every, [0.002, 0.998], method="inverted_cdf").tolist()
    if not math.isfinite(high - low):  # wider than a double
        return Markup("")
    edges = np.linspace(low, high, BINS + 1) if low < high else np.array([low - 0.5, low + 0.5])
    shares = {name: _shares(of, edges) for name, of in {"now": now, **before}.items()}
    most = max(float(of.max()) for of in shares.values())
    step = WIDTH / (len(edges) - 1)
    body = [
        Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            at * step, HEIGHT * (1 - share / most), step, HEIGHT * share / most
        )
        for at, share in enumerate(shares.pop("now"))
    ]
    for name, of in shares.items():
        heights = HEIGHT * (1 - of / most)
        points = " ".join(f"{at * step:.1f},{y:.1f} {(at + 1) * step:.1f},{y:.1f}" for at, y in enumerate(heights))
        body.append(Markup('<polyline class="{}" points="{}"/>').format(name, points))
    ends = Markup('<text x="0" y="{y}">{}</text><text x="{w}" y="{y}" text-anchor="end">{}</text>').format(
        f"{edges[0]:.4g}", f"{edges[-1]:.4g}", w=WIDTH, y=HEIGHT + 14
    )
    return _svg([*body, ends], HEIGHT + 18, f"{now.name}: from {edges[0]:.4g} to {edges[-1]:.4g}")


def _of_values(now: ColumnSketch, before: Mapping[str, ColumnSketch]) -> Markup:
    of_now = dict(now.values)
    first = dict(next(iter(before.values())).values) if before else {}
    counts = {value: of_now.get(value, 0) / now.known + first.get(value, 0) for value in {*of_now, *first}}
    shown = sorted(counts, key=lambda value: (-of_now.get(value, 0), -first.get(value, 0), value))[:VALUES]
    row, left = 16, 150
    body = []
    for at, value in enumerate(shown):
        label = value if len(value) <= LABEL_LENGTH else value[: LABEL_LENGTH - 1] + "…"
        y = at * row
        body.append(Markup('<text x="0" y="{}">{}</text>').format(y + 12, label))
        width = (WIDTH - left) * of_now.get(value, 0) / now.known
        body.append(Markup('<rect class="bar" x="{}" y="{}" width="{:.1f}" height="12"/>').format(left, y + 2, width))
        for name, of in before.items():
            x = left + (WIDTH - left) * dict(of.values).get(value, 0) / of.known
            mark = Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>')
            body.append(mark.format(name, y, y + 16, x=x))
    return _svg(body, max(row, row * len(shown)), f"{now.name}: shares of its most frequent values")


def _shares(of: ColumnSketch, edges: np.ndarray) -> np.ndarray:
    inside = np.clip(of.quantiles, edges[0], edges[-1])
    return np.histogram(inside, edges)[0] / len(of.quantiles)


def _svg(body: Sequence[Markup], height: int, said: str) -> Markup:
    head = Markup('<svg role="img" viewBox="0 0 {} {}" width="{}" height="{}"><title>{}</title>').format(
        WIDTH, height, WIDTH, height, escape(said)
    )
    return head + Markup("").join(body) + Markup("</svg>")
