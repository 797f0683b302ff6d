"""PeriodDiscriminator: real or made, told from samples that lie whole periods apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from speechunits.vocoders.conv_stack import ConvStack, Judged


class PeriodDiscriminator(nn.Module):
    """The multi-period discriminator of HiFi-GAN (Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 2.3).

    For each period p the waveform is folded to (S / p, p), reflected at its end where p does not divide S, and convolved
    along its columns alone. Weight norm; 41 105 770 parameters, as in the authors' code.

    Args:
        periods: in samples; primes, so that each sees others.
        channels: of the layers; all but the last one have ``stride``.
        kernel, stride: along a column.
        weight: of each period in the losses.
    """

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        channels: Sequence[int] = (32, 128, 512, 1024, 1024),
        kernel: int = 5,
        stride: int = 3,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.periods, self.weights = tuple(periods), (weight,) * len(periods)
        strides = [stride] * (len(channels) - 1) + [1, 1]
        kernels = [kernel] * len(channels) + [3]
        shapes = list(zip([1, *channels], [*channels, 1], kernels, strides, strict=True))
        self.stacks = nn.ModuleList(
            ConvStack([weight_norm(nn.Conv2d(i, o, (k, 1), (s, 1), (k // 2, 0))) for i, o, k, s in shapes])
            for _ in periods
        )

    def forward(self, wave: Tensor) -> list[Judged]:
        """(B, S) -> of each period its scores (B, N) and features."""
        out = []
        for period, stack in zip(self.periods, self.stacks, strict=True):
            x = F.pad(wave[:, None], (0, -wave.size(1) % period), "reflect")
            out.append(stack(x.unflatten(2, (-1, period))))
        return out
