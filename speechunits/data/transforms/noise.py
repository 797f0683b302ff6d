"""Noise: other recordings under the speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np
from lhotse.augmentation import AudioTransform
from lhotse.cut import Cut

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.transforms.altered import altered
from speechunits.errors import UserError


@dataclass
class AddedNoise(AudioTransform):
    """``noise`` (N,) under samples (C, S), repeated or cut off to their length, ``snr`` decibels below their mean power."""

    noise: np.ndarray
    snr: float

    def __call__(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        noise = np.resize(self.noise, samples.shape[1])
        power, below = (float(np.mean(np.square(x, dtype=np.float64))) for x in (samples, noise))
        if not below:
            return samples
        gain = (power / 10 ** (self.snr / 10) / below) ** 0.5
        return samples + np.float32(gain) * noise

    def reverse_timestamps(
        self, offset: float, duration: float | None, sampling_rate: int
    ) -> tuple[float, float | None]:
        return offset, duration


@dataclass(frozen=True)
class Noise:
    """A random piece of a random recording is added, as long as the cut; shorter ones are repeated.

    Args:
        cuts: manifests of noise (MUSAN, DNS): a path or several.
        snr: decibels, from and to; drawn evenly. The ratio of mean powers over the cut.
        share: of the cuts that get noise.

    Raises:
        UserError: out of range, or a manifest is missing.
    """

    cuts: str | Sequence[str]
    snr: tuple[float, float] = (5.0, 20.0)
    share: float = 0.5

    purpose: ClassVar[str] = "noise"
    crops: ClassVar[bool] = False
    warps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        low, high = self.snr
        if low > high or not 0 <= self.share <= 1:
            raise UserError(
                f"Noise: snr={list(self.snr)}, share={self.share}: give snr as [low, high] and share in 0 to 1"
            )
        _ = self.pool

    @cached_property
    def pool(self) -> Cuts:
        return open_cuts(self.cuts)

    def seconds(self, durations: np.ndarray) -> np.ndarray:
        return durations

    def __call__(self, cut: Cut, random: np.random.Generator, grid: Fraction | None) -> Cut:
        chance, place, level = random.random(3)
        if chance >= self.share:
            return cut
        noise = self.pool[int(random.integers(len(self.pool)))]
        spare = max(0.0, noise.duration - cut.duration)
        try:
            noise = noise.truncate(offset=place * spare, duration=min(cut.duration, noise.duration), preserve_id=True)
            at_rate = noise if noise.sampling_rate == cut.sampling_rate else noise.resample(cut.sampling_rate)
            samples = at_rate.load_audio().mean(0, dtype=np.float32)
        except Exception as error:  # lhotse's readers raise many kinds
            why = " ".join(str(error).split())[:200]
            raise UserError(
                f"the noise {noise.id} of {self.cuts} cannot be read ({why}); take it out of the manifest"
            ) from error
        return altered(cut, AddedNoise(samples, self.snr[0] + level * (self.snr[1] - self.snr[0])))
