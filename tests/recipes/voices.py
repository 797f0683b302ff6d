"""Small parts that hear voices and melodies of toy corpora."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.seq import Seq


class BandVoice(nn.Module):
    """A voice is the shape of its mean spectrum: levels in dB of 16 bands, without their mean."""

    def embed(self, audio: Seq) -> Tensor:
        """(B, S) -> (B, 16)."""
        bands = [
            torch.stack([part.mean() for part in torch.fft.rfft(row[:n]).abs().square()[1:].chunk(16)])
            for row, n in zip(audio.data, audio.lengths.tolist(), strict=True)
        ]
        levels = torch.stack(bands).add(1e-9).log()
        return levels - levels.mean(1, keepdim=True) + 1e-3


class PeakPitch(nn.Module):
    """The strongest frequency of each 20 ms in place of F0; quiet frames are unvoiced."""

    def forward(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, 2)."""
        frames = audio.data.unfold(1, 640, 320)
        strongest = torch.fft.rfft(frames).abs()[..., 1:].argmax(-1) + 1.0
        voiced = frames.square().mean(-1) > 1e-4
        lengths = ((audio.lengths - 640) // 320 + 1).clamp(min=0)
        return Seq(torch.stack([(25 * strongest).log() * voiced, voiced.float()], -1), lengths, Fraction(1, 50))
