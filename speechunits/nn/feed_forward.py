"""A feed-forward part with its norm in front."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """LayerNorm, up, swish, dropout, down, dropout (Conformer, Gulati et al. 2020, arXiv:2005.08100, figure 4).

    Args:
        dim: features.
        ffn: inner features.
        dropout: after each map.
    """

    def __init__(self, dim: int, ffn: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(dim), nn.Linear(dim, ffn), nn.Linear(ffn, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), before the residual."""
        return self.dropout(self.down(self.dropout(F.silu(self.up(self.norm(x))))))
