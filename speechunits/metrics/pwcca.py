"""Pwcca: what features know of labels that another part of the data taught to look for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pwcca:
    """Projection-weighted canonical correlation analysis of features and labels, learned on one sample, measured on another.

    Directions a_i, b_i with the largest correlations of the variates ``x a_i`` and ``y b_i`` are learned by ``fit_pwcca``.
    On other data, with h_i the variate ``x a_i`` at mean 0 and length 1 and x_j the centred features, the score is
    ``sum_i alpha_i corr(x a_i, y b_i) / sum_i alpha_i``, ``alpha_i = sum_j |<h_i, x_j>|`` (Morcos et al. 2018,
    https://arxiv.org/abs/1806.05759, section 2.2): directions count by how much of the features they explain. Measured apart
    from the sample that taught the directions as in Pasad, Chou and Livescu 2021, https://arxiv.org/abs/2107.04734, section 3.

    Args:
        x_mean: (D,). y_mean: (E,). of the first sample.
        a: (D, R). b: (E, R), R the smaller of the two ranks.
    """

    x_mean: Tensor
    y_mean: Tensor
    a: Tensor
    b: Tensor

    def __call__(self, x: Tensor, y: Tensor) -> float:
        """The score of features (N, D) and labels (N, E), at most 1; nan where the features are constant."""
        x, y = x.double() - self.x_mean, y.double() - self.y_mean
        h, other = _unit(x @ self.a), _unit(y @ self.b)
        weight = (h.T @ (x - x.mean(0))).abs().sum(1)
        return float((weight * (h * other).sum(0)).sum() / weight.sum())


def fit_pwcca(x: Tensor, y: Tensor, ridge: float = 1e-4) -> Pwcca:
    """Learn the directions, in float64.

    Args:
        x: (N, D) features. y: (N, E) labels, one-hot for classes.
        ridge: added to the diagonal of both covariances, each divided by its largest entry first (as in Pasad et al.'s code,
            https://github.com/ankitapasad/layerwise-analysis, which searches for it between 1e-11 and 1e-5).

    Raises:
        ValueError: the numbers of items differ, or there are fewer than two.
    """
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"CCA needs two items or more, as many features as labels, got {len(x)} and {len(y)}")
    x, y = x.double(), y.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    (white_x, rank_x), (white_y, rank_y) = _whitening(x, ridge), _whitening(y, ridge)
    rank = min(rank_x, rank_y)
    u, _, v = torch.linalg.svd(white_x @ (x.T @ y) @ white_y, full_matrices=False)
    return Pwcca(x_mean, y_mean, white_x @ u[:, :rank], white_y @ v[:rank].T)


def _whitening(x: Tensor, ridge: float) -> tuple[Tensor, int]:
    """The inverse square root (D, D) of the covariance of centred ``x`` with its ridge, and its rank without."""
    covariance = x.T @ x
    values, vectors = torch.linalg.eigh(covariance / covariance.abs().max().clamp(min=torch.finfo(x.dtype).tiny))
    rank = int((values > 1e-10).sum())
    root = torch.where(values + ridge > 1e-10, values.clamp(min=0) + ridge, torch.inf).rsqrt()
    return vectors * root @ vectors.T, rank


def _unit(x: Tensor) -> Tensor:
    """Columns at mean 0 and length 1; constant ones stay 0."""
    x = x - x.mean(0)
    return x / x.norm(dim=0).clamp(min=torch.finfo(x.dtype).tiny)
