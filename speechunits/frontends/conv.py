"""The learned waveform frontend of wav2vec 2.0 and HuBERT."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.gradient import scale_gradient
from speechunits.seq import Seq


class _Block(nn.Module):
    """Convolution, optional norm, GELU: (B, C, T) -> (B, C', T')."""

    def __init__(
        self, dim_in: int, dim: int, kernel: int, stride: int, bias: bool, norm: Literal["group", "layer"] | None
    ):
        super().__init__()
        self.conv = nn.Conv1d(dim_in, dim, kernel, stride, bias=bias)
        nn.init.kaiming_normal_(self.conv.weight)
        self.norm: nn.Module | None = None
        if norm is not None:
            self.norm = nn.GroupNorm(dim, dim) if norm == "group" else nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if isinstance(self.norm, nn.LayerNorm):
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.norm is not None:
            x = self.norm(x)
        return F.gelu(x)


class ConvFrontend(nn.Module):
    """Seven strided convolutions: 16 kHz samples to ``channels`` features every 20 ms with a 25 ms view.

    ``norm="group"`` (base models) normalises each channel of the first block over *time*, padding included, as every
    published implementation does: there the features of an utterance depend on the length of its batch. ``"layer"``
    (large models) normalises every block per frame and does not.

    Args:
        channels: features of each block.
        kernels, strides: per block, in samples of the block's input.
        norm: "group" on the first block, or "layer" on all.
        bias: in the convolutions.
        grad_scale: factor on the gradient that enters the frontend (fairseq ``feature_grad_mult``: 0.1 base, 1 large).
        sample_rate: of the waveform, Hz.
        normalize_audio: give every utterance mean 0 and variance 1 over its real samples before anything else; padding
            stays 0 (fairseq ``task.normalize: true``, ``layer_norm(wav, wav.shape)``: wav2vec 2.0 and HuBERT large).
        normalize_eps: added to that variance: 1e-5 in fairseq and torchaudio, 1e-7 in transformers' feature extractor;
            for quiet audio it decides the level.
    """

    def __init__(
        self,
        channels: int = 512,
        kernels: Sequence[int] = (10, 3, 3, 3, 3, 2, 2),
        strides: Sequence[int] = (5, 2, 2, 2, 2, 2, 2),
        norm: Literal["group", "layer"] = "group",
        bias: bool = False,
        grad_scale: float = 1.0,
        sample_rate: int = 16000,
        normalize_audio: bool = False,
        normalize_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if len(kernels) != len(strides):
            raise ValueError(f"{len(kernels)} kernels but {len(strides)} strides")
        if min(channels, sample_rate, *kernels, *strides) < 1:
            raise ValueError(f"channels {channels}, kernels {kernels}, strides {strides}: each must be at least 1")
        self.dim, self.kernels, self.strides, self.grad_scale = channels, tuple(kernels), tuple(strides), grad_scale
        self.rate, self.normalize_audio = Fraction(1, sample_rate), normalize_audio
        self.normalize_eps = normalize_eps
        self.local = norm == "layer" and not normalize_audio  # see LogMel
        self.hop = self.rate
        for stride in strides:
            self.hop *= stride
        self.blocks = nn.ModuleList(
            _Block(
                1 if i == 0 else channels,
                channels,
                k,
                s,
                bias,
                "layer" if norm == "layer" else "group" if i == 0 else None,
            )
            for i, (k, s) in enumerate(zip(kernels, strides, strict=True))
        )

    def frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) -> frames (B,) that see real samples only."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths.clamp(min=0)

    def forward(self, audio: Seq) -> Seq:
        """(B, S) samples -> (B, T, channels)."""
        if audio.hop != self.rate:
            raise ValueError(
                f"this frontend takes audio at {1 / self.rate} Hz, found {1 / audio.hop if audio.hop else None} Hz"
            )
        x = (normalized(audio, self.normalize_eps) if self.normalize_audio else audio).data[:, None]
        for block in self.blocks:
            x = block(x)
        return Seq(scale_gradient(x, self.grad_scale).transpose(1, 2), self.frames(audio.lengths), self.hop)


def normalized(audio: Seq, eps: float = 1e-5) -> Seq:
    """(B, S) -> (B, S): mean 0 and variance 1 over the real samples of each utterance, padding 0.

    ``F.layer_norm`` of each utterance alone; sums are float64, so that the width of the batch does not show.
    """
    count = audio.lengths.clamp(min=1)[:, None]
    x = audio.data.masked_fill(~audio.valid, 0).double()
    x = (x - x.sum(1, keepdim=True) / count).masked_fill(~audio.valid, 0)
    variance = x.square().sum(1, keepdim=True) / count
    return audio.with_data((x / (variance + eps).sqrt()).to(audio.data.dtype))
