"""ProsodyScale: where the pitch and the energy of a voice lie, and how far they range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from speechunits.seq import Seq

LEAST = 0.01  # smallest deviation, a sixth of a semitone: a monotone voice is no division by zero


@dataclass(frozen=True)
class ProsodyScale:
    """Mean and deviation of ln F0 (of voiced frames) and of ln energy (of all): two columns, one row for each utterance.

    Prosody is (B, T, 3) of ln F0, voicing and ln energy, as ``frontends.prosody`` makes it. Standard prosody is the same with
    mean 0 and deviation 1: what is left of it when the voice is taken out, as in Polyak et al. 2021, arXiv:2104.00355,
    section 3.1. Unvoiced frames have 0 for their pitch in both.

    Args:
        mean, deviation: (B, 2) float32.
    """

    mean: Tensor
    deviation: Tensor

    def standardise(self, prosody: Seq) -> Seq:
        """(B, T, 3) -> (B, T, 3)."""
        return _joined(prosody, (prosody.data[..., ::2] - self.mean[:, None]) / self.deviation[:, None])

    def restore(self, standard: Seq) -> Seq:
        """The inverse: (B, T, 3) -> (B, T, 3)."""
        return _joined(standard, standard.data[..., ::2] * self.deviation[:, None] + self.mean[:, None])


def _joined(prosody: Seq, changed: Tensor) -> Seq:
    """Prosody with other pitch and energy, (B, T, 2); pitch 0 where unvoiced, all 0 on padding."""
    voiced = prosody.data[..., 1]
    data = torch.stack([changed[..., 0] * (voiced > 0.5), voiced, changed[..., 1]], -1)
    return prosody.with_data(data * prosody.valid[..., None])


def moments(prosody: Seq) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T, 3) -> how many frames pitch and energy have, their sums and sums of squares: (B, 2) float64 each."""
    real = prosody.valid.double()
    counted = torch.stack([real * (prosody.data[..., 1] > 0.5), real], -1)
    x = prosody.data[..., ::2].double() * counted
    return counted.sum(1), x.sum(1), x.square().sum(1)


def scale_of(counts: Tensor, sums: Tensor, squares: Tensor) -> ProsodyScale:
    """Of ``moments``, of one utterance or added up over several; mean 0 and deviation 1 of what has no frame."""
    mean = sums / counts.clamp(min=1)
    deviation = (squares / counts.clamp(min=1) - mean.square()).clamp(min=LEAST**2).sqrt()
    return ProsodyScale(mean.float(), torch.where(counts > 0, deviation, 1.0).float())


def own_scale(prosody: Seq) -> ProsodyScale:
    """Each utterance's own, of prosody (B, T, 3)."""
    return scale_of(*moments(prosody))
