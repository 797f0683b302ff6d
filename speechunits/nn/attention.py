"""Multi-head self-attention over right-padded batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Reach = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention with one fused input projection.

    Args:
        dim: features.
        heads: must divide ``dim``.
        dropout: on attention weights. 0 keeps the fused kernels; on CPU they have no dropout, so the weights are
            then formed explicitly (faster there than the fallback inside ``scaled_dot_product_attention``).

    ``prefix`` is a place for fine-tuning: a module that extends keys and values (``tuning.prefix``).
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} does not divide into {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.prefix: nn.Module | None = None

    def forward(
        self,
        x: Tensor,
        keys: Tensor | None = None,
        bias: Callable[[Tensor], Tensor] | None = None,
        reach: Reach | None = None,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D).

        Args:
            keys: bool that expands to (B, heads, T, T), True where a key may be attended to; None = everywhere.
            bias: x -> (B, heads, T, T), added to the scores (relative positions).
            reach: queries, keys and values (B, heads, T, D / heads) -> the same, of more than T frames in keys and values
                where earlier ones are remembered (``Horizon.reach``).
        """
        b, t, d = x.shape
        added = None if bias is None else bias(x)
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if reach is not None:
            q, k, v = reach(q, k, v)
        if self.prefix is not None:
            k, v, keys = self.prefix(k, v, keys)
            added = None if added is None else F.pad(added, (k.size(2) - t, 0))  # what is learned lies at no distance
        dropout = self.dropout if self.training else 0.0
        if dropout and not x.is_cuda:
            scores = (q * (d // self.heads) ** -0.5) @ k.transpose(-1, -2)  # scaling q is cheaper than scaling T x T
            if added is not None:
                scores = scores + added
            if keys is not None:
                scores = scores.masked_fill(~keys, torch.finfo(scores.dtype).min)  # -inf: NaN without any real key
            y = F.dropout(torch.softmax(scores, -1), dropout) @ v
        else:
            mask = keys
            if added is not None:
                added = added.to(q.dtype)
                mask = added if keys is None else added.masked_fill(~keys, torch.finfo(q.dtype).min)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out(y.transpose(1, 2).reshape(b, t, d))
