"""Let each frame find the features that it needs."""

from __future__ import annotations

from torch import nn

from speechunits.seq import Seq


class CrossAttention(nn.Module):
    """x + attention from x to y: which frame belongs to which is learned, so that rates and lengths may be any (Prabhu et al.
    2024, arXiv:2404.12628: cross attention; norms of both before it, as in a norm-first transformer, are ours).

    Args:
        heads: of attention. dropout: on attention weights and on what is added.
        dim: of x and the result. dim_in: of y. Supplied by the parent.

    Raises:
        ValueError: heads that do not divide ``dim``.
    """

    any_rate = True

    def __init__(self, heads: int = 4, dropout: float = 0.0, *, dim: int, dim_in: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} does not divide into {heads} heads")
        self.x_norm, self.y_norm, self.dropout = nn.LayerNorm(dim), nn.LayerNorm(dim_in), nn.Dropout(dropout)
        self.attention = nn.MultiheadAttention(dim, heads, dropout, kdim=dim_in, vdim=dim_in, batch_first=True)

    def forward(self, x: Seq, y: Seq) -> Seq:
        """(B, T, dim) and (B, T', dim_in) -> (B, T, dim)."""
        keys = self.y_norm(y.data)
        hidden = (
            ~y.valid & (y.lengths > 0)[:, None]
        )  # of an utterance without features all are seen: none would give NaN
        added, _ = self.attention(self.x_norm(x.data), keys, keys, key_padding_mask=hidden, need_weights=False)
        return x.with_data(x.data + self.dropout(added) * (x.valid & (y.lengths > 0)[:, None])[..., None])
