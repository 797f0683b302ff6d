"""Transform: a change of a cut before its fields are read, so that all fields see the same one."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import numpy as np
from lhotse.cut import Cut


class Transform(Protocol):
    """Attributes:

    purpose: names its random draws.
    crops: removes time, so fields of whole utterances refuse it.
    warps: stretches time, so fields that cannot follow refuse it.
    """

    @property
    def purpose(self) -> str: ...

    @property
    def crops(self) -> bool: ...

    @property
    def warps(self) -> bool: ...

    def seconds(self, durations: np.ndarray) -> np.ndarray:
        """(N,) durations after the transform at most: what the batch plan counts."""
        ...

    def __call__(self, cut: Cut, random: np.random.Generator, grid: Fraction | None) -> Cut:
        """The changed cut. ``grid``: seconds on whose multiples a shortened cut must start (stored labels), or None."""
        ...
