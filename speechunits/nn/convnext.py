"""A ConvNeXt block over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.depthwise_conv import DepthwiseConv
from speechunits.nn.horizon import Horizon


class ConvNeXtBlock(nn.Module):
    """Depth-wise convolution, LayerNorm, up, GELU, down, a learned scale of each feature, added to what came in (Liu et al.
    2022, arXiv:2201.03545, figure 4; over time as in Vocos, Siuzdak 2023, arXiv:2306.00814).

    Args:
        ffn: inner features.
        kernel: frames of the convolution.
        scale: at the beginning; small where many blocks follow each other.
        dim: features, supplied by what contains it.
    """

    def __init__(self, ffn: int = 1536, kernel: int = 7, scale: float = 0.125, *, dim: int) -> None:
        super().__init__()
        self.conv, self.norm = DepthwiseConv(dim, kernel), nn.LayerNorm(dim, eps=1e-6)
        self.up, self.down = nn.Linear(dim, ffn), nn.Linear(ffn, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))
        self.left_context = self.conv.left_context
        for part in (self.conv.conv, self.up, self.down):
            nn.init.trunc_normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return x + self.scale * self.down(F.gelu(self.up(self.norm(self.conv(x, horizon)))))
