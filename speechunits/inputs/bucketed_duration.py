"""Durations in buckets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class BucketedDuration(nn.Module):
    """A learned vector for each range of durations.

    Args:
        starts: frames at which a new range begins, rising; what is shorter than the first is a range too.
        dim: of the vectors, supplied by the input.

    Raises:
        ValueError: ``starts`` do not rise.
    """

    starts: Tensor

    def __init__(self, starts: Sequence[int] = (2, 3, 4, 5, 7, 10, 15, 25), *, dim: int) -> None:
        super().__init__()
        if not starts or any(b <= a for a, b in pairwise(starts)):
            raise ValueError(f"starts = {list(starts)}: give durations that rise")
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        self.vectors = nn.Embedding(len(starts) + 1, dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T) frames -> (B, T, dim)."""
        return self.vectors(torch.bucketize(frames, self.starts, right=True))  # type: ignore[no-any-return]
