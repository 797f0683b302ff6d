"""Pitch as a number."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearPitch(nn.Module):
    """A linear map of standard pitch and of voicing.

    Args:
        dim: of the vectors, supplied by the input.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, dim)

    def forward(self, pitch: Tensor, voiced: Tensor) -> Tensor:
        """(B, T) standard ln F0 and (B, T) bool -> (B, T, dim)."""
        x = torch.stack([pitch, voiced], -1).to(self.linear.weight.dtype)
        return self.linear(x)  # type: ignore[no-any-return]
