from __future__ import annotations

import pytest
import torch

from speechunits.heads.nearness import Nearness
from speechunits.quantizers.kmeans import KMeans


def codebook(size: int = 4, dim: int = 3) -> KMeans:
    made = KMeans(size, dim=dim).double()
    made.centroids.normal_(generator=torch.Generator().manual_seed(0))
    return made


def test_the_posterior_of_equal_gaussians() -> None:
    """Against their densities."""
    made, x = Nearness(codebook(), 0.7, dim=3), torch.randn(5, 3, dtype=torch.float64)
    (scores,) = made(x)
    means = made.quantizer.centroids
    covariance = 0.7 * torch.eye(3, dtype=torch.float64)
    densities = torch.stack([torch.distributions.MultivariateNormal(m, covariance).log_prob(x).exp() for m in means], 1)
    torch.testing.assert_close(scores.softmax(-1), densities / densities.sum(1, keepdim=True))
    assert made.vocab == (4,)


def test_centroids_stay_and_features_have_a_gradient() -> None:
    made, x = Nearness(codebook(), 0.7, dim=3), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    made(x)[0].softmax(-1)[:, 0].sum().backward()
    assert list(made.parameters()) == [] and x.grad is not None and bool(x.grad.abs().sum() > 0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the centroids have 3 features, and what is read has 5"):
        Nearness(codebook(), dim=5)
    with pytest.raises(ValueError, match="temperature is 0"):
        Nearness(codebook(), 0.0, dim=3)
