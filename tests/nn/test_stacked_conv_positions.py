"""fairseq's make_conv_block, written out, and what it does not promise: independence of padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from speechunits.nn.stacked_conv_positions import StackedConvPositions


def test_is_convolution_norm_gelu_five_times() -> None:
    layer = StackedConvPositions(3, 5, groups=2, dim=8).double()
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    y = x
    for conv in layer.convs:
        y = conv(y.transpose(1, 2)).transpose(1, 2)
        y = nn.GELU()(nn.LayerNorm(8, elementwise_affine=False).double()(y))
    torch.testing.assert_close(layer(x), y, rtol=0, atol=1e-12)
    assert layer(x).shape == x.shape


def test_padding_changes_nothing() -> None:
    layer = StackedConvPositions(5, 3, groups=2, dim=8).double()
    short, long = torch.randn(1, 6, 8, dtype=torch.float64), torch.randn(1, 10, 8, dtype=torch.float64)
    both = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, 4)), long])
    valid = torch.arange(10) < torch.tensor([[6], [10]])
    out = layer(both, valid)
    torch.testing.assert_close(out[:1, :6], layer(short), rtol=0, atol=1e-12)
    torch.testing.assert_close(out[1:], layer(long), rtol=0, atol=1e-12)
    assert not out[0, 6:].any()


@pytest.mark.parametrize(
    ("arguments", "says"), [({"kernel": 4, "groups": 2}, "kernel 4 is even"), ({"groups": 3}, "3 groups")]
)
def test_impossible_shapes_are_refused(arguments: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StackedConvPositions(**arguments, dim=8)
