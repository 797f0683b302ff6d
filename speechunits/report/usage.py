"""How evenly a codebook is used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from speechunits.report.canvas import drawn


def perplexity(counts: np.ndarray) -> float:
    """exp of the entropy (nats) of the distribution that ``counts`` (V,), not all 0, are proportional to."""
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


@drawn
def codebook_usage(counts: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> Figure:
    """Share of frames of every code, the most frequent first, one line per system.

    Args:
        counts: system -> (V,) frames per code.

    Raises:
        ValueError: a system has no frames.
    """
    figure = Figure(figsize=(6.4, 3.4 + 0.2 * len(counts)), layout="constrained")
    axes = figure.subplots()
    for system, of_code in counts.items():
        if not of_code.sum():
            raise ValueError(f"{system} has no frames")
        share = np.sort(of_code)[::-1] / of_code.sum()
        used = share[share > 0]
        label = f"{system}: {len(used)} of {len(share)} codes used, perplexity {perplexity(of_code):.1f}"
        line = axes.step(np.arange(1, len(used) + 1), used, where="mid", color=colours[system], lw=1.6, label=label)[0]
        axes.axhline(1 / len(share), xmax=0.015, color=line.get_color(), lw=2)
    axes.set_yscale("log")
    axes.set(
        xlabel="code, the most frequent first", ylabel="share of frames", title="Codebook usage (ticks: an even share)"
    )
    figure.legend(loc="outside lower center")
    return figure
