"""Effective rank: by hand, known values, invariances, and RankMe's formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechunits.metrics.effective_rank import effective_rank


def test_known_values() -> None:
    assert effective_rank(torch.outer(torch.arange(1.0, 9), torch.arange(1.0, 5))) == pytest.approx(1, abs=1e-9)
    turn, _ = torch.linalg.qr(torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    assert effective_rank(5 * turn) == pytest.approx(6, abs=1e-9), "all directions alike"
    # singular values 3 and 1: shares 3/4 and 1/4
    by_hand = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(torch.diag(torch.tensor([3.0, -1.0]))) == pytest.approx(by_hand, abs=1e-12)
    assert math.isnan(effective_rank(torch.zeros(3, 2)))


def test_it_is_rankme_and_does_not_see_axes_or_scale() -> None:
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(80, 12, generator=draws, dtype=torch.float64) * torch.logspace(0, -3, 12)
    values = np.linalg.svd(x.numpy(), compute_uv=False)
    p = values / np.abs(values).sum() + 1e-7
    assert effective_rank(x) == pytest.approx(float(np.exp(-(p * np.log(p)).sum())), rel=1e-4)
    turn, _ = torch.linalg.qr(torch.randn(12, 12, generator=draws, dtype=torch.float64))
    assert effective_rank(0.01 * x @ turn) == pytest.approx(effective_rank(x), rel=1e-9)
    assert effective_rank(x[torch.randperm(80, generator=draws)]) == pytest.approx(effective_rank(x), rel=1e-9)
