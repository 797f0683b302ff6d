"""Pwcca against another road to the canonical correlations, values by hand, invariances, and data not learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from speechunits.metrics.pwcca import fit_pwcca


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labelled(items: int, seed: int, classes: int = 4, noise: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, 6) around a centre for each class, and one-hot classes (N, 4)."""
    which = torch.randint(classes, (items,), generator=torch.Generator().manual_seed(seed))
    return 2 * draw(classes, 6, seed=99)[which] + noise * draw(items, 6, seed=seed) + 7, one_hot(which, classes)


def by_qr(x: np.ndarray, y: np.ndarray, rank: int) -> float:
    """Björck and Golub's way: canonical correlations are the singular values of Qx'Qy; Morcos et al.'s weights."""
    x, y = x - x.mean(0), y - y.mean(0)
    (qx, _, _), (qy, _, _) = (np.linalg.svd(z, full_matrices=False) for z in (x, y))
    u, r, _ = np.linalg.svd(qx[:, : np.linalg.matrix_rank(x)].T @ qy[:, : np.linalg.matrix_rank(y)])
    h = qx[:, : np.linalg.matrix_rank(x)] @ u[:, :rank]
    weight = np.abs(h.T @ x).sum(1)
    return float((weight * r[:rank]).sum() / weight.sum())


def test_without_a_ridge_and_on_its_own_data_it_is_the_textbook_value() -> None:
    x, y = labelled(200, 0)
    assert fit_pwcca(x, y, 0)(x, y) == pytest.approx(by_qr(x.numpy(), y.double().numpy(), 3), abs=1e-9)
    y = draw(200, 9, seed=1) + torch.cat([x, x[:, :3]], 1)
    assert fit_pwcca(x, y, 0)(x, y) == pytest.approx(by_qr(x.numpy(), y.numpy(), 6), abs=1e-9)


def test_values_by_hand() -> None:
    # one feature, two classes: the correlation of (0, 1, 2, 5) with (0, 0, 1, 1) is 3 / sqrt(14 * 1)
    x, y = torch.tensor([[0.0], [1.0], [2.0], [5.0]]), one_hot(torch.tensor([0, 0, 1, 1]))
    hand = np.corrcoef([0, 1, 2, 5], [0, 0, 1, 1])[0, 1]
    assert hand == pytest.approx(3 / 14**0.5)
    assert fit_pwcca(x, y, 0)(x, y) == pytest.approx(hand, abs=1e-12)
    # features that are the classes, in other words
    y = one_hot(torch.arange(12) % 3)
    assert fit_pwcca(y.double() @ draw(3, 3, seed=2), y, 0)(y.double() @ draw(3, 3, seed=2), y) == pytest.approx(1)


def test_scale_moves_and_order_do_not_matter_but_what_is_asked_does() -> None:
    (x, y), (other, of) = labelled(300, 3), labelled(150, 4)
    score = fit_pwcca(x, y)(other, of)
    assert 0.5 < score < 1
    assert fit_pwcca(3 * x + 4, y)(3 * other + 4, of) == pytest.approx(score, abs=1e-9)
    shuffled, order = (torch.randperm(n, generator=torch.Generator().manual_seed(5)) for n in (300, 150))
    assert fit_pwcca(x[shuffled], y[shuffled])(other[order], of[order]) == pytest.approx(score, abs=1e-9)
    assert fit_pwcca(x[shuffled], y)(other, of) < score - 0.3, "labels of other items teach nothing"
    assert fit_pwcca(x.float(), y)(other.float(), of) == pytest.approx(score, abs=1e-5)


def test_what_was_only_learned_by_heart_does_not_count() -> None:
    """More features than the sample can teach: perfect on the sample, near chance on other data, helped by a ridge."""
    which = torch.randint(3, (100,), generator=torch.Generator().manual_seed(6))
    x, y = draw(100, 90, seed=7), one_hot(which, 3)
    y_other = one_hot(torch.randint(3, (100,), generator=torch.Generator().manual_seed(8)), 3)
    learned = fit_pwcca(x, y, 1e-9)
    assert learned(x, y) > 0.9 and abs(learned(draw(100, 90, seed=9), y_other)) < 0.3
    signal = torch.cat([2.0 * y, torch.zeros(100, 87)], 1), torch.cat([2.0 * y_other, torch.zeros(100, 87)], 1)
    x, other = x + signal[0], draw(100, 90, seed=9) + signal[1]
    assert fit_pwcca(x, y, 0.3)(other, y_other) > fit_pwcca(x, y, 1e-9)(other, y_other) + 0.1


def test_what_cannot_be_measured() -> None:
    x, y = labelled(30, 10)
    assert np.isnan(fit_pwcca(torch.ones(30, 2), y)(torch.ones(30, 2), y))
    with pytest.raises(ValueError, match="got 30 and 29"):
        fit_pwcca(x, y[:-1])
