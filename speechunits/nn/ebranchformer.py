"""One E-Branchformer block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.nn.attention import SelfAttention
from speechunits.nn.conv_gating import ConvGating
from speechunits.nn.depthwise_conv import DepthwiseConv
from speechunits.nn.feed_forward import FeedForward
from speechunits.nn.horizon import Horizon


class EBranchformerBlock(nn.Module):
    """Attention and a convolutional gating MLP side by side, merged by a depth-wise convolution and a linear map, between two
    halves of feed-forward parts, and a LayerNorm (Kim et al. 2022, arXiv:2210.00077, section 3).

    Positions are rotary, as in ``ConformerBlock``.

    Args:
        ffn: inner features of the feed-forward parts.
        units: of the gating MLP.
        kernel: of its convolution.
        merge_kernel: of the merging convolution.
        causal: of both, see ``DepthwiseConv``.
        dropout: after each part and within the MLPs.
        attention_dropout: on attention weights.
        dim, heads: supplied by the encoder.

    ``shardable``: its parameters are read in its own call alone, so that ranks may each keep a share of them.
    """

    shardable = True

    def __init__(
        self,
        ffn: int = 1024,
        units: int = 1024,
        kernel: int = 31,
        merge_kernel: int = 31,
        causal: bool = False,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        *,
        dim: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.ffn_before, self.ffn_after = FeedForward(dim, ffn, dropout), FeedForward(dim, ffn, dropout)
        self.attention, self.attention_norm = SelfAttention(dim, heads, attention_dropout), nn.LayerNorm(dim)
        self.gating = ConvGating(dim, units, kernel, causal, dropout)
        self.merge_conv, self.merge = DepthwiseConv(2 * dim, merge_kernel, causal), nn.Linear(2 * dim, dim)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.left_context = self.gating.conv.left_context + self.merge_conv.left_context

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.ffn_before(x) / 2
        attended = self.dropout(self.attention(self.attention_norm(x), horizon.keys, reach=horizon.reach))
        both = torch.cat([attended, self.gating(x, horizon)], -1)
        x = x + self.dropout(self.merge(both + self.merge_conv(both, horizon)))
        return self.norm(x + self.ffn_after(x) / 2)
