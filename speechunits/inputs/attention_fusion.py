"""Codebooks weighed frame by frame."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionFusion(nn.Module):
    """A weighted sum of the vectors of all codebooks or layers, with weights of each frame's own.

    A network of one hidden layer gives each vector a score, and a softmax over the codebooks its weight: the informed layer
    selector of Mousavi et al. 2024, arXiv:2406.10735, section 2.2. A codebook that was left out, whose vector is zero, has the
    weight 0.

    Args:
        hidden: units of the hidden layer; None = as many as ``dim``.
        dim: of the vectors, supplied by the input.
    """

    def __init__(self, hidden: int | None = None, *, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.key, self.score = nn.Linear(dim, hidden or dim), nn.Linear(hidden or dim, 1, bias=False)

    def weights(self, x: Tensor) -> Tensor:
        """(B, T, K, dim) -> (B, T, K), adding up to 1."""
        left_out = (x == 0).all(-1)
        left_out &= ~left_out.all(-1, keepdim=True)  # padding has some weights too, and they are finite
        scores = self.score(F.relu(self.key(x)))[..., 0]
        return scores.masked_fill(left_out, -torch.inf).softmax(-1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, dim) -> (B, T, dim)."""
        return (self.weights(x)[..., None] * x).sum(2)
