"""Crop: a random part of long utterances."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from lhotse.cut import Cut


@dataclass(frozen=True)
class Crop:
    """At most ``max_seconds`` of a cut, from a start drawn evenly (wav2vec 2.0, arXiv:2006.11477, section 4.2).

    With stored labels the start is a multiple of their hop: label t then describes the same samples as before.

    Args:
        max_seconds: longest part kept, in seconds of the cut.
        margin: seconds at the end that no part reaches into where another has room. Labels end where the last whole window
            does: by how much windows are longer than the hop (5 ms of 25 at a hop of 20), a part then has a label for each
            of its frames.
    """

    max_seconds: float
    margin: float = 0.0

    purpose: ClassVar[str] = "crop"
    crops: ClassVar[bool] = True
    warps: ClassVar[bool] = False

    def seconds(self, durations: np.ndarray) -> np.ndarray:
        return np.minimum(durations, self.max_seconds)

    def __call__(self, cut: Cut, random: np.random.Generator, grid: Fraction | None) -> Cut:
        if cut.duration <= self.max_seconds:
            return cut
        spare = max(0.0, cut.duration - self.max_seconds - self.margin)
        step = grid if grid is not None else Fraction(1, cut.sampling_rate)
        start = float(int(random.integers(int(spare / float(step) + 1e-6) + 1)) * step)
        return cut.truncate(offset=start, duration=self.max_seconds, preserve_id=True)
