"""VarianceConvs: the published predictor on each utterance alone, whatever is padded."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from speechunits.nn.variance_convs import VarianceConvs
from speechunits.seq import pad, unpad


def test_each_utterance_is_the_published_network() -> None:
    """Convolution, ReLU, LayerNorm, dropout, twice."""
    made = VarianceConvs(3, 5).double().eval()
    rows = [torch.randn(n, 3, dtype=torch.float64) for n in (9, 4, 1)]
    x = pad(rows, None)
    for row, ours in zip(rows, unpad(x.with_data(made(x))), strict=True):
        y = row.T[None]
        for conv, norm in zip(made.convs, made.norms, strict=True):
            y = F.conv1d(y, conv.weight, conv.bias, padding=1).relu()
            y = F.layer_norm(y.mT, (5,), norm.weight, norm.bias).mT
        torch.testing.assert_close(ours, y[0].T)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel = 4: give an odd number"):
        VarianceConvs(3, 5, 4)
