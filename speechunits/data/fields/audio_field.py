"""AudioField: one channel of waveform at one rate."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from lhotse.audio import AudioLoadingError, DurationMismatchError
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.field import BadAudio
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts

log = logging.getLogger(__name__)

# lhotse 1.33 mirrors up to half a second of audio where a file is shorter than its manifest says: such a file is cut off
os.environ.setdefault("LHOTSE_AUDIO_DURATION_MISMATCH_TOLERANCE", "0.025")


@dataclass(frozen=True)
class AudioField:
    """The waveform of a cut, (S,) float32 in [-1, 1]; batches are Seq (B, S) with hop 1 / ``rate``.

    Args:
        key: custom recording to read in place of the cut's own (``target_recording``).
        rate: Hz; other rates are resampled (lhotse's windowed sinc), which is said once per rate.
        channel: which channel of a multi-channel cut; None averages all.
    """

    key: str | None = None
    rate: int = 16000
    channel: int | None = None

    stream: ClassVar[Stream | None] = None
    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    def bind(self, cuts: Cuts) -> AudioField:
        if self.key is None:
            for rate, count in zip(*np.unique(cuts.rates, return_counts=True), strict=True):
                if rate not in (0, self.rate):
                    log.warning(
                        "%s: %d cuts at %d Hz are resampled to %d Hz on the fly; resample the corpus to save time",
                        *(", ".join(map(str, cuts.paths)), count, rate, self.rate),
                    )
        return self

    def load(self, cut: Cut) -> Tensor:
        try:
            samples = self._read(cut)
        except (AudioLoadingError, DurationMismatchError, OSError, RuntimeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise BadAudio(" ".join(str(error).split())[:300] or type(error).__name__) from error
        if samples.size == 0:
            raise BadAudio("no samples")
        if not np.isfinite(samples).all():
            raise BadAudio("NaN or infinite samples")
        return torch.from_numpy(samples)

    def _read(self, cut: Cut) -> np.ndarray:
        if self.key is None:
            if not cut.has_recording:
                raise UserError(f"the cut {cut.id} has no recording; make cuts from recordings, not from features")
            samples = (cut if cut.sampling_rate == self.rate else cut.resample(self.rate)).load_audio()
        else:
            if not cut.has_custom(self.key):
                raise UserError(f"the cut {cut.id} has no recording {self.key}; correct `key` or the manifest")
            there = cut.custom[self.key].sampling_rate == self.rate
            samples = (cut if there else cut.resample(self.rate, recording_field=self.key)).load_custom(self.key)
        if self.channel is None:
            return samples.mean(0, dtype=np.float32) if len(samples) > 1 else samples[0].astype(np.float32, copy=False)
        if self.channel >= len(samples):
            raise UserError(f"the cut {cut.id} has {len(samples)} channel(s), none numbered {self.channel}; correct it")
        return np.ascontiguousarray(samples[self.channel], np.float32)

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, Fraction(1, self.rate))
