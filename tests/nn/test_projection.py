"""LayerNorm, linear map, dropout."""

from __future__ import annotations

from fractions import Fraction

import torch

from speechunits.nn.projection import FeatureProjection
from speechunits.seq import Seq


def test_projection_is_norm_then_linear():
    layer = FeatureProjection(dropout=0.5, dim_in=3, dim=5).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    seq = Seq(x, torch.tensor([4, 2]), Fraction(1, 50))
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = normed @ layer.linear.weight.T + layer.linear.bias
    out = layer.eval()(seq)
    torch.testing.assert_close(out.data, expected, rtol=0, atol=1e-12)
    assert out.hop == seq.hop and torch.equal(out.lengths, seq.lengths)
    assert 0.2 < float((layer.train()(seq).data == 0).float().mean()) < 0.8


def test_without_the_norm_it_is_linear():
    layer = FeatureProjection(norm=False, dim_in=3, dim=5).double()
    seq = Seq(torch.randn(2, 4, 3, dtype=torch.float64), torch.tensor([4, 2]), Fraction(1, 50))
    torch.testing.assert_close(layer(seq).data, layer.linear(seq.data), rtol=0, atol=1e-12)
    assert list(layer.state_dict()) == ["linear.weight", "linear.bias"]
