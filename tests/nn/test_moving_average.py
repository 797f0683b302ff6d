"""The copy is the exact recursion, and nothing else reaches it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from speechunits.nn.moving_average import MovingAverage


def test_it_is_the_recursion_with_its_warm_up() -> None:
    fast = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    average = MovingAverage(0.3, fast)
    expected = copy.deepcopy(fast.state_dict())
    for step in range(1, 8):
        with torch.no_grad():
            for p in fast.parameters():
                p.add_(torch.randn_like(p))
            fast[1].running_mean.fill_(step)
        average.on_step(step, fast)
        decay = [2 / 11, 3 / 12, 0.3][min(step, 3) - 1]
        for name, p in fast.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach()
    found = average.module.state_dict()
    for name, _ in fast.named_parameters():
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12)
    assert found["1.running_mean"].tolist() == [7, 7]


def test_it_stays_in_evaluation_mode_without_gradient() -> None:
    whole = nn.ModuleDict({"fast": nn.Linear(2, 2)})
    whole["slow"] = MovingAverage(0.9, whole["fast"])
    whole.train()
    assert whole["fast"].training and not any(module.training for module in whole["slow"].modules())
    assert [name for name, p in whole.named_parameters() if p.requires_grad] == ["fast.weight", "fast.bias"]


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_that_is_none_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        MovingAverage(decay, nn.Linear(1, 1))
