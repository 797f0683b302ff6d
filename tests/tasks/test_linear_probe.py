"""LinearProbe has scikit-learn's optimum, and does not depend on scale, start or constant features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from speechunits.tasks.linear_probe import LinearProbe


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """(150, 7) vectors of three overlapping classes, on scales from 0.01 to 100."""
    y = torch.randint(3, (150,))
    x = torch.randn(3, 7)[y] + 1.5 * torch.randn(150, 7)
    return (x * torch.logspace(-2, 2, 7) + 5).float(), y


@pytest.mark.parametrize("l2", [1.0, 0.01, 0.0003])
def test_same_optimum_as_scikit_learn(data: tuple[torch.Tensor, torch.Tensor], l2: float) -> None:
    x, y = data
    ours = LinearProbe(7, 3, l2, tolerance=1e-9).fit(x, y)
    scaler = StandardScaler().fit(x.double().numpy())
    theirs = LogisticRegression(C=1 / (l2 * len(y)), tol=1e-10, max_iter=10_000)
    theirs.fit(scaler.transform(x.double().numpy()), y.numpy())
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.coef_, atol=1e-5)
    fresh = torch.randn(50, 7) * torch.logspace(-2, 2, 7) + 5
    expected = theirs.predict_proba(scaler.transform(fresh.double().numpy()))
    np.testing.assert_allclose(ours(fresh).softmax(-1).detach().numpy(), expected, atol=1e-5)


def test_the_gradient_is_zero_at_the_optimum(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    """By the formula: d/dW = (softmax - one-hot)^T z / N + l2 W, in numpy."""
    x, y = data
    probe = LinearProbe(7, 3, 0.05, tolerance=1e-9).fit(x, y)
    z = x.double().numpy()
    z = (z - z.mean(0)) / z.std(0)
    w, b = probe.weight.detach().numpy(), probe.bias.detach().numpy()
    p = np.exp(z @ w.T + b)
    p /= p.sum(1, keepdims=True)
    wrong = p - np.eye(3)[y.numpy()]
    assert np.abs(wrong.T @ z / len(z) + 0.05 * w).max() < 1e-8
    assert np.abs(wrong.mean(0)).max() < 1e-8


def test_refit_at_another_strength_forgets_the_start(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = data
    probe = LinearProbe(7, 3, 1.0, tolerance=1e-9).fit(x, y)
    probe.l2 = 0.01
    fresh = LinearProbe(7, 3, 0.01, tolerance=1e-9).fit(x, y)
    torch.testing.assert_close(probe.fit(x, y).weight, fresh.weight, atol=1e-6, rtol=0)


def test_scales_and_constants_change_nothing(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = data
    plain = LinearProbe(7, 3).fit(x, y)
    other = LinearProbe(8, 3).fit(torch.cat([1000 * x, torch.full((150, 1), 0.1)], 1), y)
    torch.testing.assert_close(other.weight[:, :7], plain.weight, atol=1e-4, rtol=0)
    assert float(other.weight[:, 7].detach().abs().max()) == 0


def test_accuracy_counts_rows() -> None:
    probe = LinearProbe(1, 2)
    with torch.no_grad():
        probe.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    assert probe.accuracy(torch.tensor([[-1.0], [2.0], [3.0], [-4.0]]), torch.tensor([0, 1, 0, 1])) == 0.5


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="positive strength"):
        LinearProbe(2, 2, 0.0)
    with pytest.raises(ValueError, match=r"\(4,\) labels for 2 features"):
        LinearProbe(2, 2).fit(torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="not finite"):
        LinearProbe(2, 2).fit(torch.tensor([[0.0, float("nan")]]), torch.tensor([1]))


def test_a_stop_before_the_optimum_is_said(
    data: tuple[torch.Tensor, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    LinearProbe(7, 3, 1e-4, iterations=1).fit(*data)
    assert "before its optimum" in caplog.text
    caplog.clear()
    LinearProbe(7, 3, 1e-4).fit(*data)
    assert caplog.text == ""
