"""Means and deviations under weights, against numpy."""

from __future__ import annotations

import numpy as np
import torch

from speechunits.nn.weighted_statistics import weighted_statistics


def test_equations_3_and_5_of_attentive_statistics() -> None:
    """The paper's deviation is the root of sum a h^2 - mean^2 with weights a that sum to 1."""
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    weights = torch.rand(2, 7, 1, dtype=torch.float64)
    h, a = x.numpy(), (weights / weights.sum(1, keepdim=True)).numpy()
    mean = (a * h).sum(1)
    expected = np.concatenate([mean, np.sqrt((a * h * h).sum(1) - mean**2)], -1)
    np.testing.assert_allclose(weighted_statistics(x, weights).numpy(), expected, rtol=1e-10)


def test_what_has_no_weight_does_not_enter() -> None:
    x = torch.randn(1, 4, 3)
    longer = torch.cat([x, torch.full((1, 2, 3), torch.nan)], 1)
    weights = torch.tensor([1.0, 1, 1, 1, 0, 0])[None, :, None]
    torch.testing.assert_close(weighted_statistics(longer, weights), weighted_statistics(x, weights[:, :4]))
    assert weighted_statistics(x, torch.zeros(1, 4, 1))[0, :3].tolist() == [0, 0, 0]


def test_a_feature_that_stands_still_has_a_gradient() -> None:
    x = torch.ones(1, 3, 2, requires_grad=True)
    weighted_statistics(x, torch.ones(1, 3, 1)).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_half_precision_is_summed_in_single() -> None:
    x = torch.full((1, 3000, 1), 100.0, dtype=torch.float16)
    found = weighted_statistics(x, torch.ones(1, 3000, 1, dtype=torch.float16))
    assert found.dtype == torch.float32 and abs(float(found[0, 0]) - 100) < 1e-3
