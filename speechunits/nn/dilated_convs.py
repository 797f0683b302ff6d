"""Residual convolutions that look further and further around a sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1  # of every leaky ReLU between convolutions


def clear_(x: Tensor, padding: Tensor | None) -> Tensor:
    """(B, C, S), which nothing else needs -> the same with zeros on ``padding`` (B, 1, S) bool; None = nothing is padded."""
    return x if padding is None else x.masked_fill_(padding, 0)


class DilatedConvs(nn.Module):
    """For each dilation leaky ReLU, a dilated convolution and, if ``paired``, leaky ReLU and one without dilation, added to
    what came in (HiFi-GAN, Kong et al. 2020, arXiv:2010.05646, appendix A.1; ResBlock1 of its code, ResBlock2 not paired).

    Args:
        channels: in and out.
        kernel: samples, an odd number.
        dilations: one residual step each.
        paired: whether a convolution without dilation follows each.

    Raises:
        ValueError: an even kernel.
    """

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], paired: bool = True) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel}: give an odd number, so that the filter stands around its sample")
        self.dilated, self.plain = (
            nn.ModuleList(
                weight_norm(nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel // 2))) for d in each
            )
            for each in (dilations, [1] * len(dilations) if paired else [])
        )

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, C, S), zero on ``padding`` (B, 1, S) bool, None = nothing is padded -> (B, C, S), zero there too."""
        for dilated, plain in zip_longest(self.dilated, self.plain):
            y = clear_(dilated(F.leaky_relu(x, SLOPE)), padding)
            if plain is not None:
                y = clear_(plain(F.leaky_relu(y, SLOPE, inplace=True)), padding)
            x = y.add_(x)  # in place where nothing else needs y: new memory would cost ten times the sum
        return x
