"""A learned mixture of all layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """Sum of softmax(w)_l times layer l, input layer included (SUPERB, Yang et al. 2021, arXiv:2105.01051, section 3).

    Args:
        normalize: give every frame of every layer mean 0 and variance 1 first, so that w weighs layers of unlike size
            alike (s3prl's ``upstream_feature_normalize``).
        depth: layers above the input, supplied by the model.
    """

    def __init__(self, normalize: bool = False, *, depth: int) -> None:
        super().__init__()
        self.normalize = normalize
        self.weights = nn.Parameter(torch.zeros(depth + 1))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """depth + 1 tensors (B, T, D) -> (B, T, D)."""
        if self.normalize:
            layers = [F.layer_norm(x, x.shape[-1:]) for x in layers]
        out = torch.zeros_like(layers[0])
        for share, x in zip(self.weights.softmax(0), layers, strict=True):
            out = out + share * x
        return out
