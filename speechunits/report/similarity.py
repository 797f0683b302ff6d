"""How alike the places of all systems are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from speechunits.report.canvas import drawn, text_width
from speechunits.report.results import Row

Place = tuple[str, str]


def cka_matrix(rows: Iterable[Row], split: str) -> tuple[list[Place], np.ndarray]:
    """P places (system, candidate) in the order of the rows, and CKA (P, P); nan where it was not measured."""
    value: dict[tuple[Place, Place], float] = {}
    for row in rows:
        if row["metric"] == "cka" and row["split"] == split and row["value"] is not None:
            one, other = (row["system"], row["candidate"]), (row["other_system"], row["other_candidate"])
            value[one, other] = value[other, one] = row["value"]
    places = list(dict.fromkeys(one for pair in value for one in pair))
    matrix = np.array([[1.0 if a == b else value.get((a, b), np.nan) for b in places] for a in places])
    return places, matrix.reshape(len(places), len(places))


@drawn
def similarity_map(rows: Iterable[Row], split: str) -> Figure:
    """Linear CKA as a heat map, systems apart by a white line, with figures in the cells where they fit.

    Raises:
        ValueError: there is no CKA on this split.
    """
    places, matrix = cka_matrix(rows, split)
    if not places:
        raise ValueError(f"no CKA on {split}")
    systems = [system for system, _ in places]
    cell = 0.42 if len(places) <= 24 else 0.2
    labels = [f"{system} {candidate}" for system, candidate in places]
    margin = 0.2 + max(text_width(label, 8) for label in labels)
    side = max(2.4, cell * len(places))
    figure = Figure(figsize=(margin + side + 1.0, margin + side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(places)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(places)), labels, fontsize=8)
    axes.tick_params(length=0)
    axes.grid(False)
    for i in range(1, len(places)):
        if systems[i] != systems[i - 1]:
            axes.axhline(i - 0.5, color="white", lw=3)
            axes.axvline(i - 0.5, color="white", lw=3)
    if len(places) <= 24:
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                colour = "white" if value > 0.6 else "black"
                axes.text(j, i, f"{value:.2f}".replace("0.", "."), ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label="linear CKA", pad=0.02, fraction=0.04)
    return figure
