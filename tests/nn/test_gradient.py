"""The value passes, the gradient is scaled."""

from __future__ import annotations

import pytest
import torch

from speechunits.nn.gradient import scale_gradient


@pytest.mark.parametrize("factor", [0.1, 1.0, 2.0])
def test_gradient_is_scaled(factor: float):
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = scale_gradient(x, factor)
    assert torch.equal(y, x)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, factor * torch.tensor([2.0, -4.0]))


def test_zero_cuts_the_graph():
    assert not scale_gradient(torch.ones(2, requires_grad=True), 0.0).requires_grad
