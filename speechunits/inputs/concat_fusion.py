"""Codebooks side by side."""

from __future__ import annotations

from torch import Tensor, nn


class ConcatFusion(nn.Module):
    """The vectors of all codebooks side by side, and a linear map back to the size of one.

    Args:
        dim: of the vectors, count: of the codebooks; supplied by the input.
    """

    def __init__(self, *, dim: int, count: int) -> None:
        super().__init__()
        self.dim = dim
        self.linear = nn.Linear(count * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, dim) -> (B, T, dim)."""
        return self.linear(x.flatten(2))  # type: ignore[no-any-return]
