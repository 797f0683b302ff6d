"""Scores of codes by how near their centroids are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.quantizers.kmeans import KMeans


class Nearness(nn.Module):
    """Scores whose softmax is the posterior of a mixture of equal Gaussians around the centroids: -|x - c|^2 / (2 temperature),
    up to what all codes share. With the temperature going to 0 all probability goes to the code that ``KMeans`` gives.

    Args:
        quantizer: whose centroids; they stay as they are.
        temperature: the variance of each Gaussian, in squared units of the features.
        dim: of the features, supplied by the parent.

    Raises:
        ValueError: the centroids are of another size, or the temperature is not above 0.
    """

    def __init__(self, quantizer: KMeans, temperature: float = 1.0, *, dim: int) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: scores are divided by it, so give a number above 0")
        if (size := quantizer.centroids.size(1)) != dim:
            raise ValueError(f"the centroids have {size} features, and what is read has {dim}; give the codebook of it")
        self.quantizer, self.temperature = quantizer, temperature
        self.vocab: tuple[int, ...] = quantizer.vocab

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, dim) -> one tensor (N, V). Not in half precision, also under autocast."""
        with torch.autocast(x.device.type, enabled=False):
            centroids = self.quantizer.centroids
            products = x.to(centroids.dtype) @ centroids.T
            return ((products - centroids.square().sum(1) / 2) / self.temperature,)
