"""Speed: faster and slower speech, as of a tape."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from lhotse.cut import Cut

from speechunits.errors import UserError


@dataclass(frozen=True)
class Speed:
    """Resampling by a factor drawn evenly (Ko et al. 2015, "Audio augmentation for speech recognition", section 2.1).

    Times of supervisions and alignments move with it. Stored labels do where their field says how (``UnitsField.speed``),
    else the two are refused together.

    Args:
        factors: 1.1 is faster and higher.

    Raises:
        UserError: a factor outside 0.5 to 2.
    """

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)

    purpose: ClassVar[str] = "speed"
    crops: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.factors or not all(0.5 <= f <= 2 for f in self.factors):
            raise UserError(f"Speed: factors={list(self.factors)}: give one or more between 0.5 and 2")

    def seconds(self, durations: np.ndarray) -> np.ndarray:
        return durations / min(self.factors)

    def __call__(self, cut: Cut, random: np.random.Generator, grid: Fraction | None) -> Cut:
        factor = self.factors[int(random.integers(len(self.factors)))]
        return cut if factor == 1 else cut.perturb_speed(factor, affix_id=False)
