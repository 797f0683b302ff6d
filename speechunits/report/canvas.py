"""How all pictures look: colours that the colour-blind can tell apart, sizes, and figures as PNG bytes."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

P = ParamSpec("P")

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/) without its yellow, which is too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LOOK = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
DPI = 150


def colours(systems: Iterable[str]) -> dict[str, str]:
    """System -> colour, by order of first appearance; beyond eight they repeat, told apart by marker and dash."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(systems))}


def marks(systems: Iterable[str]) -> dict[str, str]:
    """System -> marker, in the same order as ``colours``, shifted in the second round."""
    return {n: MARKERS[(i + i // len(PALETTE)) % len(MARKERS)] for i, n in enumerate(dict.fromkeys(systems))}


def drawn(picture: Callable[P, Figure]) -> Callable[P, bytes]:
    """A function that draws a figure as one that returns PNG bytes, in the house's look, whatever the user's matplotlibrc."""

    @wraps(picture)
    def png(*args: P.args, **kwargs: P.kwargs) -> bytes:
        with looking():
            figure = picture(*args, **kwargs)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=DPI)
            return file.getvalue()

    return png


@contextmanager
def looking() -> Iterator[None]:
    # Figures are made without pyplot, so nothing global is touched and nothing needs closing.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(LOOK)
        yield


def text_width(text: str, points: float) -> float:
    """About how wide ``text`` is in inches; combining marks take no room."""
    return sum(not unicodedata.combining(c) for c in text) * 0.64 * points / 72
