"""StatisticsPooling and AttentiveStatistics: the papers' equations in numpy, padding, gradients."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.heads.attentive_statistics import AttentiveStatistics
from speechunits.heads.statistics_pooling import StatisticsPooling
from speechunits.seq import pad

HOP = Fraction(1, 50)


def frames(*lengths: int) -> list[torch.Tensor]:
    return [torch.randn(n, 5, dtype=torch.float64) for n in lengths]


def test_statistics_are_those_of_numpy() -> None:
    rows = frames(9, 4)
    found = StatisticsPooling(dim_in=5)(pad(rows, HOP))
    expected = np.stack([np.concatenate([r.numpy().mean(0), r.numpy().std(0)]) for r in rows])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_attention_is_the_papers() -> None:
    """Okabe et al. 2018, equations 1 to 5, with a k that is there and changes nothing."""
    pooling, (x,) = AttentiveStatistics(hidden=3, dim_in=5).double(), frames(9)
    w, b = (p.detach().numpy() for p in (pooling.hidden.weight, pooling.hidden.bias))
    v, k, h = pooling.score.weight.detach().numpy()[0], 0.7, x.numpy()
    e = np.tanh(h @ w.T + b) @ v + k
    a = np.exp(e) / np.exp(e).sum()
    mean = (a[:, None] * h).sum(0)
    expected = np.concatenate([mean, np.sqrt((a[:, None] * h * h).sum(0) - mean**2)])
    np.testing.assert_allclose(pooling(pad([x], HOP))[0].detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [StatisticsPooling, AttentiveStatistics])
def test_utterances_alone_are_as_in_a_batch(kind: type) -> None:
    pooling, rows = kind(dim_in=5).double(), frames(12, 1, 7)
    together = pooling(pad(rows, HOP))
    assert together.shape == (3, pooling.dim) == (3, 10)
    torch.testing.assert_close(together, torch.cat([pooling(pad([row], HOP)) for row in rows]))


@pytest.mark.parametrize("kind", [StatisticsPooling, AttentiveStatistics])
def test_gradients_reach_frames_and_weights_and_no_padding(kind: type) -> None:
    pooling, x = kind(dim_in=5).double(), pad(frames(6, 2), HOP)
    x.data.requires_grad_()
    pooling(x).square().sum().backward()
    assert x.data.grad is not None and bool(x.data.grad[1, 2:].eq(0).all()) and bool(x.data.grad[0].ne(0).all())
    assert all(p.grad is not None and bool(p.grad.ne(0).any()) for p in pooling.parameters())


def test_no_frame_is_no_nan() -> None:
    x = pad([torch.randn(3, 5), torch.zeros(0, 5)], HOP)
    assert bool(AttentiveStatistics(dim_in=5)(x).isfinite().all())
