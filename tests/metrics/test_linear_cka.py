"""Linear CKA against its definition with N x N kernels and centring matrices; invariances; values by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.metrics.linear_cka import linear_cka


def features(frames: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(frames, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 3


def pair(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(linear_cka([x, y])[0, 1])


def by_kernels(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al., equations 3 and 4, with linear kernels: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))."""
    centring = np.eye(len(x)) - 1 / len(x)
    k, l = x @ x.T @ centring, y @ y.T @ centring  # noqa: E741
    return float(np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l)))


def test_it_is_the_ratio_of_the_kernels() -> None:
    x, y = features(50, 7, 0), features(50, 11, 1)
    y[:, :3] += 2 * x[:, :3]
    assert pair(x, y) == pytest.approx(by_kernels(x.numpy(), y.numpy()), abs=1e-12)
    assert pair(y, x) == pytest.approx(pair(x, y), abs=1e-12)


def test_a_rotated_scaled_and_moved_copy_is_the_same() -> None:
    x = features(60, 9, 2)
    turn, _ = torch.linalg.qr(features(9, 9, 3))
    assert pair(x, x) == pytest.approx(1, abs=1e-12)
    assert pair(x, 0.3 * x @ turn - 5) == pytest.approx(1, abs=1e-12)
    assert pair(x, x * torch.arange(1, 10)) < 0.9, "stretching single axes is another space"


def test_values_by_hand() -> None:
    one, other = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert pair(one, other) == 0
    # |y'x|^2 = 16 + 0, |x'x| = 4, |y'y| = sqrt(16 + 16)
    assert pair(one, torch.cat([one, other], 1)) == pytest.approx(16 / (4 * 32**0.5))
    assert np.isnan(pair(one, torch.ones(4, 2)))
    with pytest.raises(ValueError, match=r"same frames, got \[3, 4\]"):
        pair(one, other[:3])


def test_all_pairs_at_once() -> None:
    sets = [features(30, dim, dim) for dim in (3, 5, 8)]
    matrix = linear_cka(sets)
    assert matrix.diagonal().tolist() == pytest.approx([1, 1, 1]) and torch.equal(matrix, matrix.T)
    assert matrix[0, 2] == pytest.approx(pair(sets[0], sets[2]), abs=1e-12)
    assert linear_cka([x.float() for x in sets]).dtype is torch.float64
