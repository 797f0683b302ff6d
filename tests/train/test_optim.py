"""Fused AdamW against the algorithm, and its groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from speechunits.train.optim import adamw


def test_fused_steps_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer = adamw([("w", w)], lr=0.1, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    assert optimizer.param_groups[0]["fused"] is True
    x, m, v = w.detach().clone(), torch.zeros(5).double(), torch.zeros(5).double()
    for t in range(1, 6):
        g = torch.sin(x * t)
        w.grad = torch.sin(w.detach() * t)
        optimizer.step()
        # Loshchilov and Hutter 2019, algorithm 2, lines 7 to 12 with the schedule multiplier folded into lr
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        x = x - 0.1 * ((m / (1 - 0.9**t)) / ((v / (1 - 0.98**t)).sqrt() + 1e-6) + 0.01 * x)
        torch.testing.assert_close(w.detach(), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay_vectors", [True, False])
def test_who_decays(decay_vectors: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    optimizer = adamw(model.named_parameters(), lr=1e-3, weight_decay=0.1, decay_vectors=decay_vectors)
    decay = {name: g["weight_decay"] for g in optimizer.param_groups for name in g["param_names"]}
    other = 0.1 if decay_vectors else 0.0
    assert decay == {"0.weight": 0.1, "0.bias": other, "1.weight": other, "1.bias": other}
