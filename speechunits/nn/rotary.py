"""Rotary positions: queries and keys turned by where they stand, so that their product depends on their distance alone."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10000.0


def rotary_angles(frames: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (``frames``, ``width``) each, for heads of ``width`` features, an even number.

    Su et al. 2021, arXiv:2104.09864, eq. 15 and 34; feature i is paired with i + ``width`` / 2. Angles are taken in
    float64, so that distant frames of a long recording stand where they should.
    """
    steps = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64, device=like.device) / width)
    angles = (torch.arange(frames, device=like.device)[:, None] * steps).repeat(1, 2)
    kind = torch.promote_types(like.dtype, torch.float32)
    return angles.cos().to(kind), angles.sin().to(kind)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(B, H, T, W), with angles (T, W) -> the same, each pair of features turned by its angle."""
    first, second = x.chunk(2, -1)
    return (x * cos + torch.cat([-second, first], -1) * sin).to(x.dtype)
