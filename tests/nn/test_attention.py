"""Self-attention against torch's own module and the formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from speechunits.nn.attention import SelfAttention


def reference(ours: SelfAttention, dim: int, heads: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(dim, heads, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight, "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight, "out_proj.bias": ours.out.bias,
        }
    )  # fmt: skip
    return theirs


@pytest.mark.parametrize("lengths", [None, [7, 4, 1]])
def test_is_torchs_multihead_attention(lengths: list[int] | None):
    ours = SelfAttention(12, 3).double()
    x = torch.randn(3, 7, 12, dtype=torch.float64)
    real = None if lengths is None else torch.arange(7) < torch.tensor(lengths)[:, None]
    theirs, _ = reference(ours, 12, 3)(x, x, x, key_padding_mask=None if real is None else ~real)
    y = ours(x, None if real is None else real[:, None, None])
    torch.testing.assert_close(y, theirs, rtol=0, atol=1e-12)


def test_weights_formed_for_dropout_are_the_same_attention():
    """On CPU dropout forms the weights; with a dropout that drops nothing it is the fused result."""
    layer = SelfAttention(8, 2, dropout=1e-12).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    keys = (torch.arange(5) < torch.tensor([[5], [3]]))[:, None, None]
    torch.testing.assert_close(layer.train()(x, keys), layer.eval()(x, keys), rtol=0, atol=1e-12)


def test_dropout_keeps_the_mean_and_drops_weights():
    """With q = 0 all weights are 1/T; v = 1 makes the output the share kept, over 1 - p."""
    layer = SelfAttention(8, 2, dropout=0.3)
    with torch.no_grad():
        layer.qkv.weight.zero_()
        layer.qkv.bias.copy_(torch.cat([torch.zeros(16), torch.ones(8)]))
        layer.out.weight.copy_(torch.eye(8))
        layer.out.bias.zero_()
    y = layer.train()(torch.zeros(40, 50, 8)).detach()
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    expected = math.sqrt(0.3 / 0.7 / 50)  # deviation of a mean of 50 Bernoulli draws over 0.7
    assert float(y.std()) == pytest.approx(expected, rel=0.05)
    assert torch.equal(layer.eval()(torch.zeros(1, 5, 8)), torch.ones(1, 5, 8))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_an_item_without_frames_poisons_nothing(dropout: float):
    layer = SelfAttention(8, 2, dropout).train()
    x = torch.randn(2, 5, 8, requires_grad=True)
    keys = torch.tensor([[True] * 5, [False] * 5])[:, None, None]
    layer(x, keys)[0].sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters()) and x.grad.isfinite().all()


def test_heads_must_divide_the_dimension():
    with pytest.raises(ValueError, match="dim 8 does not divide into 3 heads"):
        SelfAttention(8, 3)
