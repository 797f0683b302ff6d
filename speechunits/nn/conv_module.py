"""The convolution module of the Conformer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.depthwise_conv import DepthwiseConv
from speechunits.nn.horizon import Horizon


class ConvModule(nn.Module):
    """LayerNorm, gated linear unit, depth-wise convolution, norm, swish, linear map, dropout (Gulati et al. 2020,
    arXiv:2005.08100, figure 2), maps and convolution without bias.

    The inner norm is a LayerNorm where the paper has a BatchNorm, so that batching changes no result, nor does streaming.

    Args:
        dim: features.
        kernel, causal: see ``DepthwiseConv``.
        dropout: at the end.
    """

    def __init__(self, dim: int, kernel: int, causal: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm, self.conv_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.enter, self.leave = nn.Linear(dim, 2 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.conv = DepthwiseConv(dim, kernel, causal, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D), before the residual."""
        y = self.conv(F.glu(self.enter(self.norm(x))), horizon)
        return self.dropout(self.leave(F.silu(self.conv_norm(y))))
