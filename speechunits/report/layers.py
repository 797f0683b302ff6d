"""A metric over the layers of encoders, against systems that have none."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speechunits.report.canvas import drawn, marks
from speechunits.report.results import Row

Curves = dict[str, dict[int, list[float]]]  # system -> layer -> one value per seed


def layered(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The (metric, split) pairs for which some system was measured at two layers or more."""
    layers: dict[tuple[Any, ...], set[int]] = {}
    for row in rows:
        if row.get("layer") is not None and row["value"] is not None:
            key = row["metric"], row["split"], row["system"], row.get("seed")
            layers.setdefault(key, set()).add(row["layer"])
    return list(dict.fromkeys((metric, split) for (metric, split, *_), found in layers.items() if len(found) > 1))


def by_layer(rows: Iterable[Row], metric: str, split: str) -> tuple[Curves, dict[str, list[float]]]:
    """(systems with a value at several layers, systems with one level: baselines, or one chosen layer)."""
    curves: Curves = {}
    levels: dict[str, list[float]] = {}
    for row in rows:
        if (row["metric"], row["split"]) == (metric, split) and row["value"] is not None:
            if row.get("layer") is None:
                levels.setdefault(row["system"], []).append(row["value"])
            else:
                curves.setdefault(row["system"], {}).setdefault(row["layer"], []).append(row["value"])
    for system in [s for s, layers in curves.items() if len(layers) == 1]:
        levels[system] = next(iter(curves.pop(system).values()))
    return curves, levels


@drawn
def metric_by_layer(rows: Iterable[Row], metric: str, split: str, colours: Mapping[str, str]) -> Figure:
    """One line per system, bars of ± one standard deviation over its seeds; single figures as dashed levels.

    Raises:
        ValueError: no system has this metric at two layers or more.
    """
    curves, levels = by_layer(rows, metric, split)
    if not curves:
        raise ValueError(f"no system has {metric} on {split} at several layers")
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    mark = marks(colours)
    for system, layers in curves.items():
        where = sorted(layers)
        means = [statistics.fmean(layers[n]) for n in where]
        spread = [statistics.stdev(layers[n]) if len(layers[n]) > 1 else 0.0 for n in where]
        seeds = max(map(len, layers.values()))
        axes.errorbar(
            where, means, spread if seeds > 1 else None, color=colours[system], marker=mark[system], ms=4.5, lw=1.6,
            capsize=2.5, elinewidth=1, label=f"{system} ({seeds} seeds)" if seeds > 1 else system,
        )  # fmt: skip
    for system, values in levels.items():
        axes.axhline(statistics.fmean(values), color=colours[system], ls="--", lw=1.4, label=system)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="layer", ylabel=metric, title=f"{metric} by layer ({split})")
    figure.legend(loc="outside right upper")
    return figure
