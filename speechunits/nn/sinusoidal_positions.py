"""Positions as sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SinusoidalPositions(nn.Module):
    """Sines in the first half of the features, cosines in the second, with wavelengths from 2 pi to 20000 pi in a geometric
    row (Vaswani et al. 2017, arXiv:1706.03762, section 3.5; halves and row as in tensor2tensor and fairseq). Of any length.

    Args:
        dim: features, supplied by the parent.

    Raises:
        ValueError: ``dim`` is odd or less than 4.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        if dim % 2 or dim < 4:
            raise ValueError(
                f"dim {dim} does not divide into sines and cosines of several wavelengths: give an even one"
            )
        self.dim = dim

    def forward(self, x: Tensor, valid: Tensor | None = None, start: int = 0) -> Tensor:
        """(B, T, D), of which the first is number ``start`` -> (T, D) to add. ``valid`` is not needed here."""
        half = self.dim // 2
        exact = torch.promote_types(x.dtype, torch.float32)  # half precision knows no position above 2048
        rates = torch.exp(torch.arange(half, dtype=exact, device=x.device) * (-math.log(10000) / (half - 1)))
        angles = torch.arange(start, start + x.size(1), dtype=exact, device=x.device)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], -1).to(x.dtype)
