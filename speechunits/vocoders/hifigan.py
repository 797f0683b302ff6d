"""The generator of HiFi-GAN: transposed convolutions up to the sample rate, dilated ones at each rate on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from speechunits.nn.dilated_convs import SLOPE, DilatedConvs, clear_
from speechunits.nn.weight_norm import fold_weight_norm
from speechunits.seq import Seq, pad, unpad


class HiFiGAN(nn.Module):
    """Frames to a waveform (Kong et al. 2020, arXiv:2010.05646; the rates are those of the unit vocoder of Polyak et al. 2021,
    arXiv:2104.00355).

    A convolution over 7 frames; for each rate a transposed convolution to half the channels and the mean of one
    ``DilatedConvs`` for each of ``block_kernels``; a convolution over 7 samples and tanh. Leaky ReLUs have slope 0.1, that
    before the last convolution 0.01, as in the published code. Weights begin as torch draws them, there too: its N(0, 0.01)
    is drawn behind the weight norm, which does not see it (jik876/hifi-gan, issue 145).

    What lies behind the end of an utterance counts as zeros everywhere, so that batching changes no result. On a CPU without
    gradients utterances are made one by one.

    Args:
        rates: samples that become of one, at each transposed convolution.
        kernels: of the transposed convolutions, each longer than its rate by an even number.
        channels: before the first of them.
        block_kernels, dilations: of the ``DilatedConvs``, the same at every rate.
        paired: see ``DilatedConvs``.
        rate: samples a second.
        dim: features of a frame, supplied by what contains it.
        hop: seconds of a frame, supplied by what contains it.

    Raises:
        ValueError: rates that do not make a frame's samples of a frame, kernels that do not fit them, channels that cannot be
            halved so often.
    """

    def __init__(
        self,
        rates: Sequence[int] = (5, 4, 4, 2, 2),
        kernels: Sequence[int] = (11, 8, 8, 4, 4),
        channels: int = 512,
        block_kernels: Sequence[int] = (3, 7, 11),
        dilations: Sequence[Sequence[int]] = ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        paired: bool = True,
        rate: int = 16000,
        *,
        dim: int,
        hop: Fraction,
    ) -> None:
        super().__init__()
        self.dim, self.hop, self.rate, self.factor = dim, hop, rate, math.prod(rates)
        if self.factor != hop * rate:
            raise ValueError(
                f"rates {[*rates]} make {self.factor} samples of a frame, but {hop} s at {rate} Hz are {hop * rate}: "
                "give rates whose product that is"
            )
        if len(kernels) != len(rates) or any(k < r or (k - r) % 2 for k, r in zip(kernels, rates, strict=False)):
            raise ValueError(
                f"kernels {[*kernels]} with rates {[*rates]}: each kernel must exceed its rate by 0, 2, 4 ..."
            )
        if len(block_kernels) != len(dilations):
            raise ValueError(f"{len(block_kernels)} block_kernels but {len(dilations)} dilations: give a list for each")
        if channels % 2 ** len(rates):
            raise ValueError(
                f"channels {channels}: to be halved {len(rates)} times, give a multiple of {2 ** len(rates)}"
            )
        widths = [channels // 2**i for i in range(len(rates) + 1)]
        self.rates = tuple(rates)
        self.enter = weight_norm(nn.Conv1d(dim, channels, 7, padding=3))
        self.ups = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(2 * width, width, k, r, padding=(k - r) // 2))
            for width, k, r in zip(widths[1:], kernels, rates, strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(DilatedConvs(width, k, d, paired) for k, d in zip(block_kernels, dilations, strict=True))
            for width in widths[1:]
        )
        self.leave = weight_norm(nn.Conv1d(widths[-1], 1, 7, padding=3))

    def fold(self) -> None:
        """Drop the weight norm in place, for inference: the same output, other names in the state."""
        fold_weight_norm(self)

    def forward(self, x: Seq) -> Seq:
        """(B, T, dim) -> waveform (B, T * factor) in [-1, 1], zero on padding.

        Raises:
            ValueError: frames of another rate.
        """
        if x.hop != self.hop:
            raise ValueError(f"this vocoder takes a frame each {self.hop} s, found {x.hop} s")
        if len(x.data) > 1 and not (torch.is_grad_enabled() or x.data.is_cuda):
            wave = pad([self._wave(row[None])[0] for row in unpad(x)], None).data  # a CPU is faster without batches
        elif bool((x.lengths != x.data.size(1)).any()):  # asked on a GPU, too: the answer may spare 100 masks
            wave = self._wave(x.data.masked_fill(~x.valid[..., None], 0), ~x.valid[:, None])
        else:
            wave = self._wave(x.data)
        return Seq(wave, x.lengths * self.factor, Fraction(1, self.rate))

    def _wave(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, T, dim), zero on ``padding`` (B, 1, T) bool, None = nothing is padded -> (B, T * factor)."""
        y = clear_(self.enter(x.transpose(1, 2)), padding)
        for rate, up, stage in zip(self.rates, self.ups, self.stages, strict=True):
            padding = None if padding is None else padding.repeat_interleave(rate, 2)
            y = clear_(up(F.leaky_relu(y, SLOPE, inplace=True)), padding)
            y = reduce(Tensor.add_, [block(y, padding) for block in stage]).div_(len(stage))
        y = torch.tanh(clear_(self.leave(F.leaky_relu(y, inplace=True)), padding))[:, 0]
        return y.to(torch.promote_types(y.dtype, torch.float32))  # half precision is too coarse for samples
