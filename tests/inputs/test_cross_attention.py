"""CrossAttention: against softmax(q k) v written out, of real keys alone; utterances without features."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.inputs.cross_attention import CrossAttention
from speechunits.seq import Seq, pad

HOP = Fraction(1, 25)


def frames(dim: int, *lengths: int) -> Seq:
    return pad([torch.randn(n, dim, dtype=torch.float64) for n in lengths], HOP)


def normed(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def reference(made: CrossAttention, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One utterance, head by head (Vaswani et al. 2017, section 3.2)."""
    a, heads = made.attention, made.attention.num_heads
    weights = [w.detach().numpy() for w in (a.q_proj_weight, a.k_proj_weight, a.v_proj_weight)]
    biases = np.split(a.in_proj_bias.detach().numpy(), 3)
    q, k, v = (z @ w.T + b for z, w, b in zip((normed(x), normed(y), normed(y)), weights, biases, strict=True))
    found = []
    for queries, keys, values in zip(*(np.split(z, heads, -1) for z in (q, k, v)), strict=True):
        scores = np.exp(queries @ keys.T / np.sqrt(queries.shape[1]))
        found.append(scores / scores.sum(1, keepdims=True) @ values)
    out = a.out_proj
    return x + np.concatenate(found, -1) @ out.weight.detach().numpy().T + out.bias.detach().numpy()


def test_each_utterance_attends_to_its_own_features() -> None:
    x, y = frames(8, 9, 5), frames(6, 13, 21)
    made = CrossAttention(2, dim=8, dim_in=6).double()
    for bias in (made.attention.in_proj_bias, made.attention.out_proj.bias):
        torch.nn.init.normal_(bias)
    given = made(x, y)
    for b in range(2):
        n, m = int(x.lengths[b]), int(y.lengths[b])
        expected = reference(made, x.data[b, :n].numpy(), y.data[b, :m].numpy())
        np.testing.assert_allclose(given.data[b, :n].detach().numpy(), expected, rtol=1e-10, atol=1e-10)
    assert not given.data[1, 5:].any() and given.lengths.equal(x.lengths)


def test_an_utterance_without_features_stays_as_it_is() -> None:
    x, y = frames(8, 9, 5), frames(6, 13, 0)
    given = CrossAttention(2, dim=8, dim_in=6).double()(x, y)
    assert given.data[1].equal(x.data[1]) and given.data.isfinite().all()


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="dim 8 does not divide into 3 heads"):
        CrossAttention(3, dim=8, dim_in=6)
