"""Positions as learned vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A learned vector for each place, up to the last one that was foreseen, which all later places share.

    Args:
        places: that have a vector of their own.
        dim: features, supplied by the parent.
    """

    def __init__(self, places: int = 512, *, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(places, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)

    def forward(self, x: Tensor, valid: Tensor | None = None, start: int = 0) -> Tensor:
        """(B, T, D), of which the first is number ``start`` -> (T, D) to add. ``valid`` is not needed here."""
        places = torch.arange(start, start + x.size(1), device=x.device)
        return self.table(places.clamp(max=self.table.num_embeddings - 1))
