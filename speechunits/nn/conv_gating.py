"""A feed-forward part in which a convolution of one half gates the other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.depthwise_conv import DepthwiseConv
from speechunits.nn.horizon import Horizon


class ConvGating(nn.Module):
    """LayerNorm, up, GELU; one half times the other after a LayerNorm and a depth-wise convolution; dropout, down, dropout
    (convolutional gating MLP: Sakuma et al. 2021, "MLP-based architecture with variable length input for automatic speech
    recognition"; Branchformer, Peng et al. 2022, arXiv:2207.02971, section 3).

    The convolution starts near zero with a bias of one: the gate is open (gMLP, Liu et al. 2021, arXiv:2105.08050,
    section 2.1).

    Args:
        dim: features.
        units: of both halves together, an even number.
        kernel, causal: see ``DepthwiseConv``.
        dropout: after the gate and at the end.

    Raises:
        ValueError: units that cannot be halved.
    """

    def __init__(self, dim: int, units: int, kernel: int, causal: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        if units % 2:
            raise ValueError(f"{units} units cannot be halved: one half gates the other")
        self.norm, self.gate_norm = nn.LayerNorm(dim), nn.LayerNorm(units // 2)
        self.up, self.down = nn.Linear(dim, units), nn.Linear(units // 2, dim)
        self.conv = DepthwiseConv(units // 2, kernel, causal)
        nn.init.normal_(self.conv.conv.weight, std=1e-6)
        nn.init.ones_(self.conv.conv.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D), before the residual."""
        y, gate = F.gelu(self.up(self.norm(x))).chunk(2, -1)
        return self.dropout(self.down(self.dropout(y * self.conv(self.gate_norm(gate), horizon))))
