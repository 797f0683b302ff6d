"""Dilated residual convolutions written out sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from speechunits.nn.dilated_convs import DilatedConvs


def filtered(conv: nn.Conv1d, x: np.ndarray, dilation: int) -> np.ndarray:
    """(C, S) -> (C, S): leaky ReLU, then a sum over the taps that stand on a sample."""
    x, weight = np.where(x > 0, x, 0.1 * x), conv.weight.detach().numpy()
    out = np.repeat(conv.bias.detach().numpy()[:, None], x.shape[1], 1)
    for s in range(x.shape[1]):
        for k in range(weight.shape[2]):
            at = s + dilation * (k - weight.shape[2] // 2)
            if 0 <= at < x.shape[1]:
                out[:, s] += weight[:, :, k] @ x[:, at]
    return out


@pytest.mark.parametrize("paired", [True, False])
def test_is_a_sum_of_filters(paired: bool) -> None:
    part = DilatedConvs(2, 3, (1, 4), paired).double()
    for p in part.parameters():
        nn.init.normal_(p)
    given = torch.randn(1, 2, 11, dtype=torch.float64)
    x = given[0].numpy().copy()
    for i, dilation in enumerate((1, 4)):
        y = filtered(part.dilated[i], x, dilation)
        x = x + (filtered(part.plain[i], y, 1) if paired else y)
    np.testing.assert_allclose(part(given).detach()[0].numpy(), x, rtol=0, atol=1e-12)


def test_padding_changes_nothing() -> None:
    part = DilatedConvs(2, 3, (1, 4)).double()
    for p in part.parameters():
        nn.init.normal_(p)
    x = torch.randn(1, 2, 8, dtype=torch.float64)
    padding = torch.arange(12)[None, None] >= 8
    out = part(nn.functional.pad(x, (0, 4)), padding)
    torch.testing.assert_close(out[..., :8], part(x), rtol=0, atol=1e-12)
    assert not out[..., 8:].any()


def test_a_kernel_that_stands_around_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel 4: give an odd number"):
        DilatedConvs(2, 4, (1,))
