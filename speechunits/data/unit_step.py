"""UnitStep: what shortens stored units when they are read."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from speechunits.stream import Stream


class UnitStep(Protocol):
    """One of the steps of ``ReducedUnitsField`` (``units.dedup``, ``units.unit_bpe``)."""

    def over(self, stream: Stream) -> Stream:
        """What comes out where ``stream`` goes in: its vocabulary, no hop, and a fingerprint that names this step too.

        Raises:
            UserError: the step is not made for these units.
        """
        ...

    def shorten(
        self, units: Tensor, frames: Tensor, random: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(T,) or (T, K) units and (T,) how many frames each lasts -> the same of fewer units.

        ``random``: where there are several ways, one is drawn; None = the best.
        """
        ...
