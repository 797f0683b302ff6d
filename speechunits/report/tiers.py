"""A spectrogram with what was said and how tokenizers write it, aligned in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from speechunits.report.canvas import drawn, text_width

INCHES_PER_SECOND = 2.9
LETTERS = 6.5  # points
GAP = 0.03  # inches between neighbouring labels


class Piece(NamedTuple):
    """A label over [start, end) in seconds."""

    label: str
    start: float
    end: float


def runs(codes: np.ndarray, hop: float) -> list[Piece]:
    """Codes (T,) or (T, K) of frames -> one piece per run; several codebooks are written "3.17"."""
    if not len(codes):
        return []
    codes = codes.reshape(len(codes), -1)
    starts = np.flatnonzero(np.r_[True, (codes[1:] != codes[:-1]).any(1)])
    ends = np.r_[starts[1:], len(codes)]
    return [Piece(".".join(map(str, codes[a].tolist())), a * hop, b * hop) for a, b in zip(starts, ends, strict=True)]


def spectrum(samples: np.ndarray, rate: int) -> np.ndarray:
    """Power in dB below the loudest, (frequency, time): windows of 25 ms every 5 ms, no lower than -70."""
    window = round(0.025 * rate)
    size = 1 << (window - 1).bit_length()
    x = torch.stft(
        torch.from_numpy(np.ascontiguousarray(samples, np.float32)), size, round(0.005 * rate), window,
        torch.hann_window(window), pad_mode="constant", return_complex=True,
    )  # fmt: skip
    level = 10 * torch.log10(x.abs().square() + 1e-12)
    return (level - level.max()).clamp(min=-70).numpy()


@drawn
def spectrogram_with_tiers(
    samples: np.ndarray,
    rate: int,
    phones: Sequence[Piece],
    units: Mapping[str, Sequence[Piece]],
    colours: Mapping[str, str],
) -> Figure:
    """Spectrogram, below it the phones, below them one tier of runs of units per system.

    A label that does not fit its piece upright is turned; one that does not fit turned either is left out. Phone
    boundaries go through all tiers.

    Args:
        samples: (S,) in [-1, 1].
        rate: Hz.
        phones: may be empty: there is no such tier then.
        units: system -> runs.
    """
    seconds = len(samples) / rate
    tiers = {**({"phones": phones} if phones else {}), **units}
    margin = 0.3 + max([text_width(name, 9) for name in tiers] + [0.5])
    width, height = max(5.0, seconds * INCHES_PER_SECOND), 2.0
    rows = [height, *[0.3 if name == "phones" and phones else 0.4 for name in tiers]]
    total = (margin + width + 0.15, sum(rows) + 0.07 * len(rows) + 0.55)
    figure = Figure(figsize=total)
    all_axes = figure.subplots(
        len(rows), 1, sharex=True, squeeze=False,
        gridspec_kw={
            "height_ratios": rows, "hspace": 0.07 / np.mean(rows), "left": margin / total[0],
            "right": 1 - 0.15 / total[0], "bottom": 0.42 / total[1], "top": 1 - 0.1 / total[1],
        },
    )[:, 0]  # fmt: skip
    all_axes[0].imshow(
        spectrum(samples, rate), origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, rate / 2000)
    )
    all_axes[0].set_ylabel("kHz")
    all_axes[0].grid(False)
    for axes, (name, pieces) in zip(all_axes[1:], tiers.items(), strict=True):
        spoken = name == "phones" and bool(phones)
        _tier(axes, pieces, "#888888" if spoken else colours[name], width / seconds, 0.3 if spoken else 0.4)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color="#333333" if spoken else colours[name])
        axes.vlines([phone.start for phone in phones], 0, 1, color="black", lw=0.5, alpha=0.55)
    all_axes[-1].set_xlabel("seconds")
    all_axes[-1].set_xlim(0, seconds)
    for axes in all_axes[:-1]:
        axes.tick_params(labelbottom=False, bottom=False)
    return figure


def _tier(axes: Axes, pieces: Sequence[Piece], colour: str, inches_per_second: float, height: float) -> None:
    pale, paler = (tuple(1 - (1 - c) * share for c in to_rgb(colour)) for share in (0.38, 0.14))
    line = LETTERS * 1.05 / 72
    axes.broken_barh([(p.start, p.end - p.start) for p in pieces], (0, 1), facecolors=(pale, paler), lw=0)
    for label, start, end in pieces:
        room, wide = (end - start) * inches_per_second, text_width(label, LETTERS) + GAP
        if room >= wide or (room >= line and wide <= height):
            axes.text(
                (start + end) / 2, 0.5, label, ha="center", va="center_baseline" if room >= wide else "center",
                fontsize=LETTERS, rotation=0 if room >= wide else 90, clip_on=True,
            )  # fmt: skip
    axes.set(ylim=(0, 1), yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
