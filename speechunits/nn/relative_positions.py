"""Relative positions as a bias on attention scores, gated by what is attended from."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


class _Gate(nn.Module):
    """One layer's gate: how far each frame and head lets the bias through."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear = nn.Linear(dim // heads, 8)
        self.scale = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """What attention reads (B, T, D), bias (H, T, T) -> (B, H, T, T) to add to its scores."""
        parts = self.linear(x.unflatten(-1, (self.heads, -1)).transpose(1, 2))
        mix, reset = parts.unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, -1)  # (B, H, T, 1) each
        return (mix * (reset * self.scale - 1) + 2) * bias


class GatedRelativePositions(nn.Module):
    """Gated relative position bias (WavLM, Chen et al. 2022, arXiv 2110.13900, section III-A).

    One table of learned biases is shared by all layers, every layer has its own gate. A distance has its own entry up
    to a quarter of the buckets, further ones share theirs on a logarithmic scale (T5, Raffel et al. 2020, section 2.1);
    half of the buckets look back and half ahead.

    Args:
        buckets: entries of the table for each head.
        furthest: frames from which on all distances are one.
        dim, heads, depth: supplied by the encoder.
    """

    def __init__(self, buckets: int = 320, furthest: int = 800, *, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        if buckets % 4 or furthest <= buckets // 4:
            raise ValueError(
                f"buckets ({buckets}) must divide by 4, and furthest ({furthest}) exceed a quarter of them"
            )
        self.buckets, self.furthest = buckets, furthest
        self.table = nn.Embedding(buckets, heads)
        self.gates = nn.ModuleList(_Gate(dim, heads) for _ in range(depth))

    def bucket(self, distance: Tensor) -> Tensor:
        """Frames from the query to the key (int64, any shape) -> entry of the table."""
        half, exact = self.buckets // 2, self.buckets // 4
        far = distance.abs()
        # float32 and in this order, because rounding decides the bucket of some distances
        share = torch.log(far.clamp(min=1).float() / exact) / math.log(self.furthest / exact)
        coarse = (exact + share * (half - exact)).long().clamp(max=half - 1)
        return half * (distance > 0) + torch.where(far < exact, far, coarse)

    def forward(self, frames: int) -> list[Callable[[Tensor], Tensor]]:
        """For each layer: what its attention reads (B, T, D) -> (B, H, T, T) to add to the scores; T = ``frames``."""
        at = torch.arange(frames, device=self.table.weight.device)
        distances = torch.arange(1 - frames, frames, device=at.device)
        bias = self.table(self.bucket(distances)).T[:, at - at[:, None] + frames - 1]
        return [partial(gate, bias=bias) for gate in self.gates]
