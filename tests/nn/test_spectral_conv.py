"""The largest singular value is one, found by torch's own steps, and moves with updates alone."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from speechunits.nn.spectral_conv import SpectralConv1d


def both() -> tuple[SpectralConv1d, nn.Module]:
    """Ours and torch's of the same weight and the same singular vectors."""
    ours = SpectralConv1d(8, 12, 5, stride=2, padding=2, groups=4).double()
    plain = nn.Conv1d(8, 12, 5, 2, 2, groups=4).double()
    plain.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    theirs = spectral_norm(plain)
    theirs.parametrizations.weight[0]._u.copy_(ours.left)
    theirs.parametrizations.weight[0]._v.copy_(ours.right)
    return ours, theirs


def test_output_and_gradient_are_those_of_torch() -> None:
    ours, theirs = both()
    x = torch.randn(2, 8, 20, dtype=torch.float64)
    mine, other = ours(x), theirs.eval()(x)
    torch.testing.assert_close(mine, other)
    mine.square().sum().backward()
    other.square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.parametrizations.weight.original.grad)


def test_an_update_is_followed_as_by_as_many_passes_of_torch() -> None:
    ours, theirs = both()
    with torch.no_grad():
        step = torch.randn_like(ours.weight)
        ours.weight.add_(step)
        theirs.parametrizations.weight.original.add_(step)
    ours.on_step(1, ours)
    for _ in range(4):
        theirs.train()(torch.zeros(1, 8, 5, dtype=torch.float64))
    torch.testing.assert_close(ours.left, theirs.parametrizations.weight[0]._u)
    torch.testing.assert_close(ours.right, theirs.parametrizations.weight[0]._v)


def test_the_largest_singular_value_becomes_one() -> None:
    ours, _ = both()
    for step in range(100):
        ours.on_step(step, ours)
    largest = torch.linalg.matrix_norm(ours.weight.flatten(1), 2)
    torch.testing.assert_close(ours.left @ ours.weight.flatten(1) @ ours.right, largest)


def test_passes_move_nothing() -> None:
    ours = SpectralConv1d(1, 4, 3).train()
    before = copy.deepcopy(ours.state_dict())
    first, second = ours(torch.ones(1, 1, 9)), ours(torch.ones(1, 1, 9))
    assert first.equal(second) and all(before[name].equal(now) for name, now in ours.state_dict().items())
