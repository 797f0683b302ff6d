"""One layer of a transformer decoder, norm first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.memory_attention import MemoryAttention


class DecoderLayer(nn.Module):
    """Attention to what was said so far, attention to what is heard, feed-forward part with ReLU; LayerNorm before each
    (Vaswani et al. 2017, arXiv:1706.03762, section 3.1; norm first: Xiong et al. 2020, arXiv:2002.04745).

    Args:
        dim: features.
        ffn: inner features of the feed-forward part.
        heads: of both attentions.
        dropout: after each part and inside the feed-forward part.
        attention_dropout: on attention weights.
    """

    def __init__(self, dim: int, ffn: int, heads: int, dropout: float = 0.1, attention_dropout: float = 0.0) -> None:
        super().__init__()
        self.said, self.heard = (MemoryAttention(dim, heads, attention_dropout) for _ in range(2))
        self.said_norm, self.heard_norm, self.ffn_norm = (nn.LayerNorm(dim) for _ in range(3))
        self.up, self.down, self.dropout = nn.Linear(dim, ffn), nn.Linear(ffn, dim), nn.Dropout(dropout)

    def forward(self, x: Tensor, heard: Tensor, keys: Tensor, said: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, L, D) -> the output (N, L, D), and keys and values of all that is said.

        Args:
            heard: (2, B, H, T, D / H), what ``self.heard.remember`` made of the frames; of the N rows of x, N / B side by side
                attend to each.
            keys: (B, 1, 1, T) bool, True on real frames.
            said: (2, N, H, L', D / H) of the symbols before x, which is then one (L = 1); None = x is all that is said.
        """
        y = self.said_norm(x)
        now = self.said.remember(y)
        memory = now if said is None else torch.cat([said, now], 3)
        x = x + self.dropout(self.said(y, memory, causal=said is None))
        y = self.heard_norm(x).view(heard.size(1), -1, x.size(2))
        x = x + self.dropout(self.heard(y, heard, keys).view_as(x))
        return x + self.dropout(self.down(self.dropout(F.relu(self.up(self.ffn_norm(x)))))), memory
