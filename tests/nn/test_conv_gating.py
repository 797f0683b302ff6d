"""The gating MLP written out in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechunits.nn.conv_gating import ConvGating
from speechunits.nn.horizon import Horizon
from speechunits.seq import Seq


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def test_one_half_gates_the_other() -> None:
    """[A, B] = GELU(LN(x) W_up), (A * conv(LN(B))) W_down."""
    part = ConvGating(4, 6, 3, dropout=0.0).double()
    torch.nn.init.normal_(part.conv.conv.weight)
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    found = part(x, Horizon.over(Seq(x, torch.tensor([5]), None), 2)).detach().numpy()[0]
    w = {name: p.detach().numpy() for name, p in part.named_parameters()}
    up = norm(x.numpy()[0]) @ w["up.weight"].T + w["up.bias"]
    up = up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2
    padded = np.pad(norm(up[:, 3:]), ((1, 1), (0, 0)))
    gate = sum(padded[k : k + 5] * w["conv.conv.weight"][:, 0, k] for k in range(3)) + w["conv.conv.bias"]
    np.testing.assert_allclose(found, (up[:, :3] * gate) @ w["down.weight"].T + w["down.bias"], rtol=0, atol=1e-12)


def test_the_gate_is_open_at_first() -> None:
    part = ConvGating(4, 6, 3, dropout=0.0)
    x = torch.randn(1, 5, 4)
    half = torch.nn.functional.gelu(part.up(part.norm(x)))[..., :3]
    torch.testing.assert_close(part(x, Horizon.over(Seq(x, torch.tensor([5]), None), 2)), part.down(half))


def test_units_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="7 units cannot be halved"):
        ConvGating(4, 7, 3)
