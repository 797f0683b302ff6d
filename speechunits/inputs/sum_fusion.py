"""Codebooks added up."""

from __future__ import annotations

from torch import Tensor, nn


class SumFusion(nn.Module):
    """The sum of the vectors of all codebooks, as decoders of residual codes read them.

    Args:
        dim: of the vectors, supplied by the input.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, dim) -> (B, T, dim)."""
        return x.sum(2)
