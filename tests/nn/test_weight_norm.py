"""Folding a weight norm changes no value."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from speechunits.nn.weight_norm import fold_weight_norm


@pytest.mark.parametrize("make", [nn.Conv1d, nn.ConvTranspose1d])
def test_folded_it_is_a_plain_convolution(make: type) -> None:
    conv = weight_norm(make(3, 5, 4)).double()
    length, direction = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    length.data *= 1.7
    weight = length * direction / direction.square().sum((1, 2), keepdim=True).sqrt()
    x = torch.randn(2, 3, 9, dtype=torch.float64)
    before = conv(x)
    both = nn.Sequential(conv, nn.ReLU())
    fold_weight_norm(both)
    fold_weight_norm(both)
    assert sorted(conv.state_dict()) == ["bias", "weight"] and isinstance(conv.weight, nn.Parameter)
    torch.testing.assert_close(conv.weight, weight, rtol=0, atol=1e-12)
    torch.testing.assert_close(conv(x), before, rtol=0, atol=1e-12)
