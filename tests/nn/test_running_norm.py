"""RunningNorm: averages of past updates in numpy, whatever the micro-batches; nothing of the present batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from speechunits.nn.running_norm import RunningNorm


def learnt(norm: RunningNorm, updates: list[list[torch.Tensor]]) -> RunningNorm:
    for step, parts in enumerate(updates, 1):
        for part in parts:
            norm(part)
        norm.on_step(step, nn.Identity())
    return norm


def test_averages_of_past_updates_are_numpys() -> None:
    updates = [torch.randn(6, 4, dtype=torch.float64) * 3 + i for i in range(5)]
    norm = learnt(RunningNorm(0.8, dim=4).double(), [[x] for x in updates])
    shares = np.array([0.2 * 0.8 ** (4 - i) for i in range(5)])
    shares /= shares.sum()
    mean = sum(share * x.numpy().mean(0) for share, x in zip(shares, updates, strict=True))
    square = sum(share * (x.numpy() ** 2).mean(0) for share, x in zip(shares, updates, strict=True))
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = (x.numpy() - mean) / np.sqrt(square - mean**2)
    np.testing.assert_allclose(norm.eval()(x).numpy(), expected, rtol=1e-9)


def test_it_changes_nothing_before_the_first_update() -> None:
    x = torch.randn(3, 4)
    assert torch.equal(RunningNorm(dim=4)(x), x)


def test_micro_batches_add_up_and_batch_mates_do_not_enter() -> None:
    x = torch.randn(6, 4, dtype=torch.float64) + 2
    whole, parts = RunningNorm(dim=4).double(), RunningNorm(dim=4).double()
    learnt(whole, [[x], [x]])
    learnt(parts, [[x[:1], x[1:]], [x[:4], x[4:]]])
    torch.testing.assert_close(whole.moments, parts.moments)
    torch.testing.assert_close(whole(x)[:2], whole(x[:2]))


def test_what_is_left_out_or_only_looked_at_leaves_no_trace() -> None:
    norm, x = RunningNorm(dim=2), torch.randn(5, 2)
    norm(x)
    norm.forget()
    norm.on_step(1, norm)
    with torch.no_grad():
        norm(x)
    norm.eval()(x)
    norm.on_step(2, norm)
    assert float(norm.known) == 0 and not norm.moments.any()


def test_gradient_and_state() -> None:
    norm = learnt(RunningNorm(dim=2), [[torch.tensor([[0.0, 1.0], [4.0, 1.0]])]])
    x = torch.zeros(1, 2, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad is not None and x.grad[0, 0].item() == pytest.approx(0.5) and bool(x.grad.isfinite().all())
    other = RunningNorm(dim=2)
    other.load_state_dict(norm.state_dict())
    assert torch.equal(other(x), norm(x))
    with pytest.raises(ValueError, match="1 left out"):
        RunningNorm(1.0, dim=2)
