"""Which phones the units stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from speechunits.report.canvas import drawn


def staircase(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(phones, units) in the order of the picture, both without what never occurs.

    Phones by frequency; units by their likeliest phone, the surest first (as in HuBERT's analyses and vq-wav2vec's).
    """
    phones = np.argsort(-counts.sum(1), kind="stable")
    phones = phones[counts[phones].sum(1) > 0]
    seen = np.flatnonzero(counts.sum(0) > 0)
    ordered = counts[phones][:, seen]
    share = ordered / ordered.sum(0)
    return phones, seen[np.lexsort((-share.max(0), share.argmax(0)))]


@drawn
def unit_phone_map(counts: np.ndarray, phones: Sequence[str], title: str = "") -> Figure:
    """P(phone | unit) as a heat map, phones on the vertical axis.

    Args:
        counts: (P, V) frames with phone p and unit v.
        phones: P names.

    Raises:
        ValueError: there are no counts.
    """
    if not counts.sum():
        raise ValueError("no frame carries both a phone and a unit")
    rows, columns = staircase(counts)
    shown = counts[rows][:, columns]
    size = 7.5 if len(rows) <= 60 else 5.5
    figure = Figure(figsize=(9.0, 1.0 + max(1.6, len(rows) * size * 1.28 / 72)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shown / shown.sum(0), aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(range(len(rows)), [phones[i] for i in rows], fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.grid(False)
    unused = counts.shape[1] - len(columns)
    also = f"; {unused} more never occur with a phone" if unused else ""
    axes.set(xlabel=f"{len(columns)} units, by their likeliest phone{also}", ylabel="phone", title=title)
    figure.colorbar(image, ax=axes, label="P(phone | unit)", pad=0.01, fraction=0.03)
    return figure
