"""Normalisation of vectors by what earlier updates saw."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits import ranks


class RunningNorm(nn.Module):
    """Every feature to mean 0 and variance 1 over the vectors of past updates: batch normalisation (Ioffe and Szegedy 2015,
    arXiv:1502.03167) that takes its running statistics in training too. So no batch-mate enters, and ranks and accumulation
    take one step. Before the first update it changes nothing.

    Moments are float32 buffers, moved by ``on_step`` with what all micro-batches and ranks of the update gathered.

    Args:
        decay: share of what was known before in each new average.
        dim: features, supplied by the parent.

    Raises:
        ValueError: the decay is no share, or forgets nothing.
    """

    moments: Tensor
    known: Tensor

    def __init__(self, decay: float = 0.9, *, dim: int) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}: the share of the old moments lies between 0 and 1, 1 left out")
        self.decay = decay
        self.register_buffer("moments", torch.zeros(2, dim))  # of first and second order, times what is known
        self.register_buffer("known", torch.zeros(()))  # weight of all updates in them: towards 1
        self._gathered: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim) -> the same."""
        kind = torch.promote_types(x.dtype, torch.float32)
        if self.training and torch.is_grad_enabled():
            self._gather(x.detach().to(kind))
        mean, square = self.moments.to(kind) / self.known.clamp(min=1e-6)
        variance = torch.where(self.known > 0, (square - mean.square()).clamp(min=1e-8), 1.0)
        return (x.to(kind) - mean) * variance.rsqrt()

    def _gather(self, x: Tensor) -> None:
        """Remember how many vectors (B, dim) there were, their sum and that of their squares, until the update."""
        count = torch.full_like(x[0], len(x))
        sums = torch.stack([x.sum(0), x.square().sum(0), count])
        self._gathered = sums if self._gathered is None else self._gathered + sums

    def forget(self) -> None:
        """Drop what was gathered for an update that is left out."""
        self._gathered = None

    @torch.no_grad()
    def on_step(self, step: int, root: nn.Module) -> None:
        """Move the moments; every rank must call it."""
        nothing = torch.cat([torch.zeros_like(self.moments), torch.zeros_like(self.moments[:1])])
        sums = ranks.add(nothing if self._gathered is None else self._gathered.to(self.moments.dtype))
        self.forget()
        keep = 1 - (1 - self.decay) * (sums[2, 0] > 0).to(sums.dtype)
        self.moments.mul_(keep).add_((1 - keep) * sums[:2] / sums[2].clamp(min=1))
        self.known.mul_(keep).add_(1 - keep)
