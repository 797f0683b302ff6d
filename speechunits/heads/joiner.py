"""Joiner: scores of what comes next from what is heard and what was said."""

from __future__ import annotations

from torch import Tensor, nn


class Joiner(nn.Module):
    """tanh of the sum of two linear maps, then a third (Graves et al. 2013, arXiv:1303.5778, eq. 15-18).

    Args:
        dim: features of the sum.
        dim_heard, dim_said: features of frames and of what the prediction network gives.
        classes: symbols and the blank.
    """

    def __init__(self, dim: int, dim_heard: int, dim_said: int, classes: int) -> None:
        super().__init__()
        self.heard, self.said, self.out = nn.Linear(dim_heard, dim), nn.Linear(dim_said, dim), nn.Linear(dim, classes)

    def join(self, heard: Tensor, said: Tensor) -> Tensor:
        """What ``self.heard`` and ``self.said`` gave (..., dim), of shapes that broadcast -> logits (..., classes)."""
        return self.out((heard + said).tanh())
