"""MFCC with derivatives: the features of HuBERT's first iteration."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.frontends.spectrum import MelSpectrum
from speechunits.seq import Seq


def _deltas(x: Seq) -> Tensor:
    """Regression over five frames, the first and last *real* frame repeated (torchaudio.functional.compute_deltas)."""
    t = torch.arange(x.data.size(1), device=x.data.device)
    last = (x.lengths - 1).clamp(min=0)[:, None]

    def moved(by: int) -> Tensor:
        index = torch.minimum((t + by).clamp(min=0), last)[..., None].expand_as(x.data)
        return x.data.gather(1, index)

    y = (moved(1) - moved(-1) + 2 * (moved(2) - moved(-2))) / 10
    return y * x.valid[..., None]


class MFCC(nn.Module):
    """Kaldi MFCC (13 cepstra of 23 bands, lifter 22, C0 instead of energy) with two orders of derivatives: 39 values.

    Exactly fairseq's ``simple_kmeans/dump_mfcc_feature.py``: ``torchaudio.compliance.kaldi.mfcc(use_energy=False)``
    defaults, then ``compute_deltas`` twice, 100 Hz, no mean or variance normalisation.

    Args:
        cepstra: coefficients kept.
        bands: mel bands.
        deltas: append first and second derivatives.
        hop: seconds between frames.
        sample_rate: Hz.
    """

    def __init__(
        self,
        cepstra: int = 13,
        bands: int = 23,
        deltas: bool = True,
        hop: Fraction | str = "1/100",
        sample_rate: int = 16000,
    ) -> None:
        super().__init__()
        self.spectrum = MelSpectrum(bands, Fraction(hop), sample_rate)
        self.deltas, self.dim, self.hop = deltas, cepstra * (3 if deltas else 1), Fraction(hop)
        self.local, self.rate = not deltas, self.spectrum.rate  # see LogMel
        with torch.device("cpu"):  # see MelSpectrum
            k, n = torch.arange(cepstra, dtype=torch.float64), torch.arange(bands, dtype=torch.float64)
            dct = torch.cos(math.pi / bands * (n[:, None] + 0.5) * k) * math.sqrt(2.0 / bands)
            dct[:, 0] = math.sqrt(1.0 / bands)
            lifter = 1.0 + 0.5 * 22.0 * torch.sin(math.pi * k / 22.0)
        self.register_buffer("dct", (dct * lifter).to(torch.get_default_dtype()), persistent=False)

    def frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) -> frames (B,)."""
        return self.spectrum.frames(lengths)

    def forward(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, 39)."""
        x = self.spectrum(audio)
        x = x.with_data(x.data @ self.dct)
        if not self.deltas:
            return x
        first = x.with_data(_deltas(x))
        return x.with_data(torch.cat([x.data, first.data, _deltas(first)], -1))
