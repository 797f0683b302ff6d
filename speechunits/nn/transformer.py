"""One transformer layer, norm first or last."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.attention import Reach, SelfAttention


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward with residuals (Vaswani et al. 2017; GELU as in BERT and wav2vec 2.0).

    Args:
        dim: features.
        ffn: inner features of the feed-forward part.
        heads: of attention.
        dropout: after attention and after the feed-forward part.
        attention_dropout: on attention weights.
        activation_dropout: inside the feed-forward part.
        norm_first: LayerNorm before each part (large models) instead of after its residual (base).
        init: standard deviation of the initial weights; fairseq's 0.02 suits 768 features, fewer want more.

    ``shardable``: its parameters are read in its own call alone, so that ranks may each keep a share of them.
    ``attention_adapter`` and ``ffn_adapter`` are places for fine-tuning, on what each part adds (``tuning.adapters``).
    """

    shardable = True

    def __init__(
        self,
        dim: int,
        ffn: int,
        heads: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.0,
        norm_first: bool = False,
        init: float = 0.02,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads, attention_dropout)
        self.attention_norm, self.ffn_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, ffn), nn.Linear(ffn, dim)
        self.dropout, self.activation_dropout = nn.Dropout(dropout), nn.Dropout(activation_dropout)
        self.attention_adapter: nn.Module = nn.Identity()
        self.ffn_adapter: nn.Module = nn.Identity()
        self.norm_first = norm_first
        for part in (self.attention.qkv, self.attention.out, self.up, self.down):  # fairseq: init_bert_params
            nn.init.normal_(part.weight, std=init)
            nn.init.zeros_(part.bias)

    def feed_forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), before the residual."""
        return self.ffn_adapter(self.dropout(self.down(self.activation_dropout(F.gelu(self.up(x))))))

    def attend(
        self, x: Tensor, keys: Tensor | None, bias: Callable[[Tensor], Tensor] | None, reach: Reach | None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), before the residual."""
        return self.attention_adapter(self.dropout(self.attention(x, keys, bias, reach)))

    def forward(
        self,
        x: Tensor,
        keys: Tensor | None = None,
        bias: Callable[[Tensor], Tensor] | None = None,
        reach: Reach | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> the output and what the feed-forward part added, both (B, T, D); the rest as in ``SelfAttention``."""
        if self.norm_first:
            x = x + self.attend(self.attention_norm(x), keys, bias, reach)
            added = self.feed_forward(self.ffn_norm(x))
            return x + added, added
        x = self.attention_norm(x + self.attend(x, keys, bias, reach))
        added = self.feed_forward(x)
        return self.ffn_norm(x + added), added
