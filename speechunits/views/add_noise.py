"""White noise at a given level under the speech."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from speechunits.draws import Draws
from speechunits.seq import Seq


class AddNoise(nn.Module):
    """Gaussian noise, drawn per utterance.

    Args:
        snr: decibels between the power of the utterance and that of the noise.
    """

    def __init__(self, snr: float = 20.0) -> None:
        super().__init__()
        self.snr = snr

    def forward(self, audio: Seq, draws: Draws) -> Seq:
        """(B, S) -> (B, S); padding stays zero."""
        noise = np.zeros(audio.data.shape, dtype=np.float32)
        for row, n, rng in zip(noise, audio.lengths.tolist(), draws.generators("noise"), strict=True):
            row[:n] = rng.standard_normal(n, dtype=np.float32)
        power = audio.data.square().sum(1, keepdim=True) / audio.lengths.clamp(min=1)[:, None]
        level = (power / 10 ** (self.snr / 10)).sqrt()
        return audio.with_data(audio.data + level * torch.from_numpy(noise).to(audio.data))
