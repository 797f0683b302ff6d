"""Convolutional positions keep the length and see symmetric context."""

from __future__ import annotations

import pytest
import torch

from speechunits.nn.positions import ConvPositions


@pytest.mark.parametrize(("kernel", "before", "after"), [(9, 4, 4), (16, 8, 7), (128, 64, 63)])
def test_which_frames_are_seen(kernel: int, before: int, after: int):
    """An even kernel drops fairseq's surplus last frame: frame t sees t - k/2 ... t + k/2 - 1."""
    layer = ConvPositions(kernel, groups=2, dim=4).double()
    x = torch.randn(1, 200, 4, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    assert y.shape == x.shape
    y[0, 100].sum().backward()
    seen = x.grad[0].abs().sum(-1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (100 - before, 100 + after)


def test_values_are_a_weight_normalised_convolution():
    layer = ConvPositions(3, groups=1, dim=2).double()
    g, v = layer.conv.parametrizations.weight.original0, layer.conv.parametrizations.weight.original1
    weight = g * v / v.square().sum((0, 1), keepdim=True).sqrt()  # one norm per tap, as in fairseq (dim=2)
    x = torch.randn(1, 4, 2, dtype=torch.float64)
    padded = torch.nn.functional.pad(x, (0, 0, 1, 1))
    pre = torch.stack([torch.einsum("ki,oik->o", padded[0, t : t + 3], weight) for t in range(4)])
    torch.testing.assert_close(layer(x)[0], torch.nn.functional.gelu(pre + layer.conv.bias), rtol=0, atol=1e-12)


def test_groups_must_divide_the_dimension():
    with pytest.raises(ValueError, match="dim 10 does not divide into 4 groups"):
        ConvPositions(groups=4, dim=10)
