"""One transformer layer with rotary positions and a horizon."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.nn.horizon import Horizon
from speechunits.nn.transformer import TransformerLayer


class TransformerBlock(nn.Module):
    """A ``TransformerLayer``, norm first, as a block of ``BlockEncoder``; it is this layer that is ``shardable``.

    Args:
        ffn, dropout, attention_dropout, init: see ``TransformerLayer``.
        dim, heads: supplied by the encoder.
    """

    left_context = 0

    def __init__(
        self,
        ffn: int = 1024,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        init: float = 0.02,
        *,
        dim: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.layer = TransformerLayer(dim, ffn, heads, dropout, attention_dropout, norm_first=True, init=init)

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.layer(x, horizon.keys, reach=horizon.reach)[0]
