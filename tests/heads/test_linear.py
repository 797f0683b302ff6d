"""One linear classifier per codebook."""

from __future__ import annotations

import torch

from speechunits.heads.linear import LinearHead


def test_codebooks_are_slices_of_one_map():
    head = LinearHead(temperature=0.1, dim=4, vocab=(3, 2))
    x = torch.randn(5, 4)
    a, b = head(x)
    whole = (x @ head.linear.weight.T + head.linear.bias) / 0.1
    torch.testing.assert_close(torch.cat([a, b], 1), whole)
    assert a.shape == (5, 3) and b.shape == (5, 2)
