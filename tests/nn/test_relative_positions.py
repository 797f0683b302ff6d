"""Gated relative positions: buckets by hand, the paper's gate in numpy, and gradients of table and gates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechunits.nn.relative_positions import GatedRelativePositions


def test_buckets_by_hand() -> None:
    """16 buckets: 8 back and 8 ahead, of which 4 are single distances and 4 share 4 to 32 on a logarithmic scale."""
    layer = GatedRelativePositions(16, 32, dim=4, heads=2, depth=1)
    distances = torch.tensor([0, -1, -3, -4, -6, -7, -12, -20, -31, -32, -500, 1, 3, 4, 500])
    expected = [0, 1, 3, 4, 4, 5, 6, 7, 7, 7, 7, 9, 11, 12, 15]
    assert layer.bucket(distances).tolist() == expected
    for d in range(4, 33):  # T5's formula, in Python's own arithmetic, away from the edges of buckets
        share = 4 + math.log(d / 4) / math.log(32 / 4) * 4
        if abs(share - round(share)) > 1e-4:
            assert int(layer.bucket(torch.tensor(-d))) == min(int(share), 7)


def test_gate_is_the_equation() -> None:
    layer = GatedRelativePositions(8, 8, dim=6, heads=2, depth=3).double()
    with torch.no_grad():
        for gate in layer.gates:
            gate.scale.normal_()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    biases = layer(5)
    assert len(biases) == 3
    table = layer.table.weight.detach().numpy()
    for gate, bias in zip(layer.gates, biases, strict=True):
        found = bias(x).detach().numpy()
        assert found.shape == (2, 2, 5, 5)
        w, b = gate.linear.weight.detach().numpy(), gate.linear.bias.detach().numpy()
        for n, h, i, j in np.ndindex(2, 2, 5, 5):
            part = w @ x[n, i, 3 * h : 3 * h + 3].numpy() + b
            a, r = 1 / (1 + np.exp(-part[:4].sum())), 1 / (1 + np.exp(-part[4:].sum()))
            d = table[int(layer.bucket(torch.tensor(j - i))), h]
            s = gate.scale[0, h, 0, 0].item()
            # the paper's d + (1 - a) d + a s r d
            assert found[n, h, i, j] == pytest.approx(d + (1 - a) * d + a * s * r * d, rel=1e-12)


def test_everything_learned_gets_a_gradient() -> None:
    layer = GatedRelativePositions(8, 8, dim=6, heads=2, depth=2)
    x = torch.randn(1, 12, 6, requires_grad=True)
    sum((bias(x) ** 2).sum() for bias in layer(12)).backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())


@pytest.mark.parametrize(("buckets", "furthest"), [(10, 800), (320, 80)])
def test_sizes_that_make_no_buckets(buckets: int, furthest: int) -> None:
    with pytest.raises(ValueError, match="must divide by 4"):
        GatedRelativePositions(buckets, furthest, dim=4, heads=2, depth=1)
