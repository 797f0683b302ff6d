"""A vocoder that stays at the rate of its frames and writes spectra: fast on a CPU."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import nn

from speechunits.nn.convnext import ConvNeXtBlock
from speechunits.nn.horizon import Horizon
from speechunits.nn.overlap_add import OverlapAdd
from speechunits.seq import Seq

LOUDEST = 100.0  # magnitude: a safeguard for the exponential


class InverseSTFT(nn.Module):
    """Frames to magnitude and phase of a short-time Fourier transform, and from there to a waveform (Vocos, Siuzdak 2023,
    arXiv:2306.00814, section 3).

    A convolution, LayerNorm, ConvNeXt blocks, LayerNorm, a linear map. Half of what it gives are logarithms of magnitudes, half
    phases; a phase enters as its cosine and sine and so wraps by itself. Blocks run at the rate of the frames; the linear map
    gives ``upsample`` spectra for each, for shorter windows at the same cost. Padding is
    zeroed before every convolution and no spectrum of it is added, so that batching changes no result.

    Samples are clipped to [-1, 1] in eval mode; in training they are not, since what is clipped has no gradient.

    Args:
        channels: features of the blocks.
        ffn: inner features of the blocks.
        depth: blocks.
        kernel: frames of every convolution.
        upsample: spectra for each frame.
        overlap: a window (and the transform) is so many hops of spectra long.
        rate: samples a second.
        dim: features of a frame, supplied by what contains it.
        hop: seconds of a frame, supplied by what contains it.

    Raises:
        ValueError: the samples of a frame do not divide into ``upsample`` whole hops.
    """

    def __init__(
        self,
        channels: int = 512,
        ffn: int = 1536,
        depth: int = 8,
        kernel: int = 7,
        upsample: int = 1,
        overlap: int = 4,
        rate: int = 16000,
        *,
        dim: int,
        hop: Fraction,
    ) -> None:
        super().__init__()
        step = hop * rate / upsample
        if step.denominator != 1:
            raise ValueError(
                f"{hop} s at {rate} Hz are {hop * rate} samples a frame, which do not divide into {upsample} hops: give "
                "another rate or upsample"
            )
        self.dim, self.hop, self.rate, self.factor = dim, hop, rate, int(step) * upsample
        self.upsample, self.fft = upsample, int(step) * overlap
        self.enter, self.norm = nn.Conv1d(dim, channels, kernel, padding=kernel // 2), nn.LayerNorm(channels, eps=1e-6)
        nn.init.trunc_normal_(self.enter.weight, std=0.02)
        nn.init.zeros_(self.enter.bias)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(ConvNeXtBlock(ffn, kernel, 1 / depth, dim=channels) for _ in range(depth))
        self.last_norm = nn.LayerNorm(channels, eps=1e-6)
        self.spectra = nn.Linear(channels, upsample * (self.fft // 2 + 1) * 2)
        self.add = OverlapAdd(int(step), overlap)

    def fold(self) -> None:
        """Nothing to do: no weight is normalised."""

    def forward(self, x: Seq) -> Seq:
        """(B, T, dim) -> waveform (B, T * factor), zero on padding.

        Raises:
            ValueError: frames of another rate.
        """
        if x.hop != self.hop:
            raise ValueError(f"this vocoder takes a frame each {self.hop} s, found {x.hop} s")
        horizon = Horizon.over(x, 2)
        y = self.norm(self.enter(horizon.clear(x.data).transpose(1, 2)).transpose(1, 2))
        for block in self.blocks:
            y = block(y, horizon)
        y = self.spectra(self.last_norm(y))
        y = y.to(torch.promote_types(y.dtype, torch.float32))  # no transform, and no samples, in half precision
        level, phase = y.unflatten(2, (self.upsample, 2, -1)).flatten(1, 2).unbind(2)
        magnitude = level.exp().clamp(max=LOUDEST)
        spectra = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        valid = None if horizon.padding is None else x.valid.repeat_interleave(self.upsample, 1)
        wave = self.add(torch.fft.irfft(spectra, self.fft), valid)
        if not self.training:
            wave = wave.clamp(-1, 1)
        return Seq(wave, x.lengths * self.factor, Fraction(1, self.rate))
