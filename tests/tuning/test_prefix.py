"""Prefix against its equation: softmax over learned and real keys together."""

from __future__ import annotations

import pytest
import torch

from speechunits.nn.transformer import TransformerLayer
from speechunits.tuning.prefix import Prefix


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 1e-12])  # the fused kernel, and the weights formed explicitly
def test_frames_attend_to_the_prefix_too(dropout: float, biased: bool) -> None:
    """Relative positions are a bias on the scores of real keys; the learned ones get none."""
    torch.manual_seed(0)
    layer = TransformerLayer(6, 10, 2, 0.0, dropout).double()
    Prefix(3, init=1.0)(layer)
    attention = layer.attention
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    keys = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])[:, None, None]
    bias = torch.randn(2, 2, 5, 5, dtype=torch.float64) * biased
    q, k, v = attention.qkv(x).chunk(3, -1)
    out = torch.zeros(2, 5, 6, dtype=torch.float64)
    for b, n in ((0, 5), (1, 3)):
        for h in range(2):
            part = slice(3 * h, 3 * h + 3)
            ks = torch.cat([attention.prefix.keys[h], k[b, :n, part]])
            vs = torch.cat([attention.prefix.values[h], v[b, :n, part]])
            near = torch.cat([torch.zeros(5, 3, dtype=torch.float64), bias[b, h, :, :n]], 1)
            out[b, :, part] = (q[b, :, part] @ ks.T / 3**0.5 + near).softmax(-1) @ vs
    given = (lambda heard: bias[: len(heard)]) if biased else None
    torch.testing.assert_close(attention(x, keys, given), attention.out(out), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(attention(x[:1], None, given), attention.out(out[:1]), rtol=1e-9, atol=1e-9)
