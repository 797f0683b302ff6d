"""One Conformer block."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.nn.attention import SelfAttention
from speechunits.nn.conv_module import ConvModule
from speechunits.nn.feed_forward import FeedForward
from speechunits.nn.horizon import Horizon


class ConformerBlock(nn.Module):
    """Half a feed-forward part, attention, convolution, half a feed-forward part, each added to its input, and a LayerNorm
    (Gulati et al. 2020, arXiv:2005.08100, eq. 1).

    Positions are rotary, where the paper's are relative sinusoids: error rates are similar or better, and training is faster
    (Zhang et al. 2025, arXiv:2501.06051).

    Args:
        ffn: inner features of the feed-forward parts.
        kernel, causal: of the convolution, see ``DepthwiseConv``.
        dropout: after each part and within the feed-forward parts.
        attention_dropout: on attention weights.
        dim, heads: supplied by the encoder.

    ``shardable``: its parameters are read in its own call alone, so that ranks may each keep a share of them.
    """

    shardable = True

    def __init__(
        self,
        ffn: int = 1024,
        kernel: int = 31,
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
        self.conv = ConvModule(dim, kernel, causal, dropout)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.left_context = self.conv.conv.left_context

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.ffn_before(x) / 2
        x = x + self.dropout(self.attention(self.attention_norm(x), horizon.keys, reach=horizon.reach))
        x = x + self.conv(x, horizon)
        return self.norm(x + self.ffn_after(x) / 2)
