"""Descent: steps that are taken back leave no trace, steps without gradients do nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from speechunits.train.descent import Descent
from speechunits.train.optim import adamw
from tests.train.test_roll_back import equal


def linear() -> nn.Linear:
    torch.manual_seed(2)
    return nn.Linear(3, 2)


def descent(model: nn.Module, **more: Any) -> Descent:
    return Descent(adamw(list(model.named_parameters()), lr=0.1), **more)


def half(model: nn.Module, side: Descent, factor: float = 1.0) -> bool:
    """One backward pass and what follows."""
    loss = factor * model(torch.ones(1, 3)).square().sum()
    side.backward(loss)
    return side.move(loss.detach())


def everything(model: nn.Module, side: Descent) -> dict[str, Any]:
    return copy.deepcopy({"weights": dict(model.state_dict()), "optimizer": side.optimizer.state_dict()})


@pytest.mark.parametrize("steps", [0, 2])
def test_a_step_that_is_taken_back_leaves_no_trace(steps: int) -> None:
    """Also the first one, before which the optimizer had no state."""
    model = linear()
    side = descent(model, revocable=True, schedule=lambda optimizer: StepLR(optimizer, 1, 0.5))
    for _ in range(steps):
        assert half(model, side)
        side.advance()
    before = everything(model, side)
    assert half(model, side) and not equal(before, everything(model, side))
    side.take_back()
    assert equal(before, everything(model, side))
    assert half(model, side)
    side.advance()
    other = linear()
    straight = descent(other, schedule=lambda optimizer: StepLR(optimizer, 1, 0.5))
    for _ in range(steps + 1):
        half(other, straight)
        straight.advance()
    assert equal(everything(model, side), everything(other, straight))
    side.take_back()
    assert equal(everything(model, side), everything(other, straight)), "what is confirmed stays"


@pytest.mark.parametrize("factor", [torch.nan, torch.inf])
def test_what_is_not_finite_moves_nothing(factor: float) -> None:
    model = linear()
    side = descent(model)
    before = everything(model, side)
    assert not half(model, side, factor) and equal(before, everything(model, side)) and not side.searching
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("scaler", [None, torch.amp.GradScaler("cpu")])
def test_without_a_gradient_it_succeeds_and_moves_nothing(scaler: Any) -> None:
    model = linear()
    side = descent(model, scaler=scaler, clip=1.0, revocable=True)
    before = everything(model, side)
    assert side.move(torch.zeros(())) and side.norm == side.loss == 0
    side.advance()
    assert equal(before, everything(model, side))
    assert half(model, side) and not equal(before, everything(model, side))


def test_weights_that_stand_still_pass_gradients_on() -> None:
    model, given = linear(), torch.ones(1, 3, requires_grad=True)
    model.bias.requires_grad_(False)
    side = descent(model)
    with side.still():
        model(given).sum().backward()
    assert given.grad is not None and given.grad.abs().sum() > 0 and model.weight.grad is None
    assert model.weight.requires_grad and not model.bias.requires_grad, "what stood still before goes on to"
