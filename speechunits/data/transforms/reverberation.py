"""Reverberation: the speech in a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np
from lhotse.augmentation import ReverbWithImpulseResponse
from lhotse.cut import Cut

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.transforms.altered import altered
from speechunits.errors import UserError


@dataclass(frozen=True)
class Reverberation:
    """Convolution with a random room impulse response, by lhotse: as long, as loud and as early as the speech was.

    The strongest sample of the response, which is the direct path, falls on time 0, so labels stay where they are.

    Args:
        cuts: manifests of impulse responses (OpenSLR 28): a path or several; one channel is drawn of each.
        share: of the cuts that are put into a room.
        early_only: only the first 50 ms of each response.

    Raises:
        UserError: out of range, or a manifest is missing.
    """

    cuts: str | Sequence[str]
    share: float = 0.5
    early_only: bool = False

    purpose: ClassVar[str] = "room"
    crops: ClassVar[bool] = False
    warps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UserError(f"Reverberation: share={self.share} is no share of the cuts: 0 to 1")
        _ = self.pool

    @cached_property
    def pool(self) -> Cuts:
        return open_cuts(self.cuts)

    def seconds(self, durations: np.ndarray) -> np.ndarray:
        return durations

    def __call__(self, cut: Cut, random: np.random.Generator, grid: Fraction | None) -> Cut:
        if random.random() >= self.share:
            return cut
        room = self.pool[int(random.integers(len(self.pool)))]
        channel = int(random.integers(room.num_channels))
        if room.sampling_rate != cut.sampling_rate:
            room = room.resample(cut.sampling_rate)
        return altered(cut, ReverbWithImpulseResponse(room, early_only=self.early_only, rir_channels=[channel]))
