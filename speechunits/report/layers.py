"""Metrics over the layers of encoders, against systems that have none."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speechunits.report.canvas import DASHES, drawn, marks
from speechunits.report.results import Row, named


@dataclass
class Line:
    """Values of a system: layer (None = it has none) -> one per seed."""

    system: str
    values: dict[int | None, list[float]] = field(default_factory=dict)

    @property
    def level(self) -> bool:
        """A single figure: a baseline, or one chosen layer."""
        return len(self.values) == 1


def layered(rows: Iterable[Row], split: str) -> list[str]:
    """The metrics that one seed of some system has at two layers or more, and that are not the same everywhere."""
    layers: dict[tuple[Any, ...], set[int]] = {}
    values: dict[str, set[float]] = {}
    for row in rows:
        if row["split"] == split and row["value"] is not None:
            values.setdefault(row["metric"], set()).add(row["value"])
            if row.get("layer") is not None:
                layers.setdefault((row["metric"], row["system"], row.get("seed")), set()).add(row["layer"])
    found = dict.fromkeys(metric for (metric, *_), seen in layers.items() if len(seen) > 1)
    return [metric for metric in found if len(values[metric]) > 1]


def by_layer(rows: Iterable[Row], metric: str, split: str) -> dict[str, Line]:
    """Name -> line; systems without layers that have several figures are told apart by what differs (``named``)."""
    own = [r for r in rows if (r["metric"], r["split"]) == (metric, split) and r["value"] is not None]
    lines: dict[str, Line] = {}
    for name, row in named(own, ("seed", "layer")):
        line = lines.setdefault(name, Line(row["system"]))
        line.values.setdefault(row.get("layer"), []).append(row["value"])
    return lines


@drawn
def metrics_by_layer(rows: Sequence[Row], metrics: Sequence[str], split: str, colours: Mapping[str, str]) -> Figure:
    """A panel per metric, a line per system, bars of ± one standard deviation over seeds; single figures as levels.

    Raises:
        ValueError: there is no metric, or it has no figures on this split.
    """
    panels = {metric: by_layer(rows, metric, split) for metric in metrics}
    if not panels or not all(panels.values()):
        raise ValueError(f"no figures on {split} for {', '.join(metrics) or 'no metric'}")
    columns = min(2, len(panels))
    rank = -(-len(panels) // columns)
    entries = max(len(lines) for lines in panels.values())
    figure = Figure(
        figsize=(2.0 + 4.4 * columns, 0.4 + 3.1 * rank + 0.22 * -(-entries // columns)), layout="constrained"
    )
    legend: dict[str, tuple[int, Any]] = {}  # name -> seeds, at most, and what was drawn with them
    grid = figure.subplots(rank, columns, squeeze=False).ravel()
    for axes, (metric, lines) in zip(grid, panels.items(), strict=False):
        _panel(axes, lines, colours, legend)
        axes.set(xlabel="layer", title=f"{metric} ({split})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    labels = [f"{name} ({seeds} seeds)" if seeds > 1 else name for name, (seeds, _) in legend.items()]
    figure.legend([made for _, made in legend.values()], labels, loc="outside lower center", ncols=columns)
    return figure


def _panel(
    axes: Axes, lines: Mapping[str, Line], colours: Mapping[str, str], legend: dict[str, tuple[int, Any]]
) -> None:
    mark = marks(colours)
    drawn_levels: dict[str, int] = {}
    for name, line in lines.items():
        seeds = max(map(len, line.values.values()))
        if line.level:
            nth = drawn_levels[line.system] = drawn_levels.get(line.system, 0) + 1
            mean = statistics.fmean(*line.values.values())
            made: Any = axes.axhline(mean, color=colours[line.system], ls=DASHES[nth % len(DASHES)], lw=1.4)
        else:
            where = sorted(n for n in line.values if n is not None)
            means = [statistics.fmean(line.values[n]) for n in where]
            spread = [statistics.stdev(line.values[n]) if len(line.values[n]) > 1 else 0.0 for n in where]
            made = axes.errorbar(
                where, means, spread if seeds > 1 else None, color=colours[line.system], marker=mark[line.system],
                ms=4.5, lw=1.6, capsize=2.5, elinewidth=1,
            )  # fmt: skip
        if seeds > legend.get(name, (0, None))[0]:
            legend[name] = seeds, made
