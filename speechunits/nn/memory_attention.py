"""Attention to keys and values that were made before, so that a decoder need not make them again at every symbol."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MemoryAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2) in two steps: ``remember``
    makes keys and values of a sequence once, ``forward`` attends to them as often as wanted.

    Args:
        dim: features of what attends and of the result.
        heads: must divide ``dim``.
        dropout: on attention weights.
        dim_source: features of what is remembered; None = ``dim``.

    Raises:
        ValueError: ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0, dim_source: int | None = None) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} does not divide into {heads} heads")
        self.heads, self.size, self.dropout = heads, dim // heads, dropout
        self.query, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.memory = nn.Linear(dim_source or dim, 2 * dim)

    def remember(self, source: Tensor) -> Tensor:
        """(N, S, dim_source) -> keys and values (2, N, heads, S, size)."""
        n, s, _ = source.shape
        return self.memory(source).view(n, s, 2, self.heads, self.size).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, memory: Tensor, keys: Tensor | None = None, causal: bool = False) -> Tensor:
        """(N, T, D) -> (N, T, D).

        Args:
            memory: (2, N, heads, S, size), as ``remember`` makes it.
            keys: (N, 1, 1, S) bool, True where a key may be attended to; None = everywhere. Without any the result is
                that of values of 0.
            causal: the S remembered are x itself, and none attends to those after it.
        """
        n, t, d = x.shape
        q = self.query(x).view(n, t, self.heads, self.size).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, memory[0], memory[1], keys, dropout, causal)
        return self.out(y.transpose(1, 2).reshape(n, t, d))
