"""Means and deviations of frames under weights."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-10  # of variances: the root has no slope at 0, which is where a feature stands still


def weighted_statistics(x: Tensor, weights: Tensor) -> Tensor:
    """Frames (B, T, D) under ``weights`` (B, T, 1) -> means and deviations (B, 2 D) (Okabe et al. 2018, arXiv:1803.10963,
    equations 3 and 5).

    Weights are divided by their sum; what stands at frames of weight 0 does not enter. An utterance without a weight has the
    mean 0. Sums are taken in float32 at least.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    weights = weights.to(kind)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(kind).tiny)
    x = torch.where(weights > 0, x.to(kind), 0.0)
    mean = (weights * x).sum(1, keepdim=True)
    variance = (weights * (x - mean).square()).sum(1)
    return torch.cat([mean.squeeze(1), variance.clamp(min=FLOOR).sqrt()], -1)
