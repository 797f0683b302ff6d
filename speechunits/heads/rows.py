"""Rows: what a prediction network remembers of its hypotheses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Tensors (N, ...), one row for each hypothesis."""

    tensors: tuple[Tensor, ...]

    def take(self, rows: Tensor) -> Rows:
        """The hypotheses ``rows`` (M,) int64, in that order; a row may be left out or repeated."""
        return Rows(tuple(each[rows] for each in self.tensors))

    def where(self, chosen: Tensor, other: Rows) -> Rows:
        """These hypotheses where ``chosen`` (N,) bool, those of ``other`` elsewhere."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        return Rows(tuple(torch.where(chosen.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs))
