"""Schedules against numbers worked out by hand from fairseq's formulas."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch

from speechunits.errors import UserError
from speechunits.train import schedules


def rates(make: Any, updates: int, lr: float = 1.0) -> list[float]:
    """The learning rate of updates number 1, 2, ..."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=lr)
    schedule, out = make(optimizer), []
    for _ in range(updates):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def test_polynomial_decay_is_linear_up_and_down() -> None:
    found = rates(partial(schedules.polynomial_decay, warmup=4, total=8), 10, lr=2.0)
    assert found == pytest.approx([0, 0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0])


def test_polynomial_decay_with_a_power_and_an_end() -> None:
    # fairseq: (lr - end) * (1 - (n - warmup) / (total - warmup)) ** power + end
    found = rates(partial(schedules.polynomial_decay, warmup=0, total=4, end_factor=0.2, power=2.0), 6)
    assert found == pytest.approx([1.0, 0.8 * 0.5625 + 0.2, 0.8 * 0.25 + 0.2, 0.8 * 0.0625 + 0.2, 0.2, 0.2])


def test_hubert_base_numbers() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=5e-4)
    factor = schedules.polynomial_decay(optimizer, warmup=32000, total=400000).lr_lambdas[0]
    assert 5e-4 * factor(16000) == pytest.approx(2.5e-4) and 5e-4 * factor(32000) == pytest.approx(5e-4)
    assert 5e-4 * factor(216000) == pytest.approx(2.5e-4) and factor(400000) == 0


def test_tri_stage() -> None:
    found = rates(partial(schedules.tri_stage, warmup=2, hold=2, decay=2, init_factor=0.1, final_factor=0.01), 9)
    # up from 0.1, two on the plateau, then exp(log(0.01) * k / 2)
    assert found == pytest.approx([0.1, 0.55, 1.0, 1.0, 1.0, 0.1, 0.01, 0.01, 0.01])


def test_inverse_sqrt() -> None:
    found = rates(partial(schedules.inverse_sqrt, warmup=4), 17)
    assert [found[i] for i in (0, 1, 4, 9, 16)] == pytest.approx([0, 0.25, 1.0, 2 / 3, 0.5])


def test_noam() -> None:
    found = rates(partial(schedules.noam, dim=64, warmup=4), 16)
    # 64^-0.5 * min(s^-0.5, s * 4^-1.5)
    assert [found[s - 1] for s in (1, 2, 4, 16)] == pytest.approx([1 / 64, 2 / 64, 1 / 16, 1 / 32])


def test_cosine() -> None:
    found = rates(partial(schedules.cosine, warmup=2, total=6, end_factor=0.5), 8)
    quarter = 0.5 + 0.25 * (1 + math.cos(math.pi / 4))
    assert found == pytest.approx([0, 0.5, 1.0, quarter, 0.75, 0.5 + 0.25 * (1 - math.sqrt(0.5)), 0.5, 0.5])


def test_exponential() -> None:
    found = rates(partial(schedules.exponential, every=3, factor=0.5), 8, lr=2.0)
    assert found == pytest.approx([2, 2, 2, 1, 1, 1, 0.5, 0.5])


def test_a_restored_schedule_goes_on_where_it_was() -> None:
    make = partial(schedules.tri_stage, warmup=3, hold=2, decay=4)
    whole = rates(make, 9)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    first = make(optimizer)
    for _ in range(5):
        optimizer.step()
        first.step()
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    second = make(other)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == whole[5]
    other.step()
    second.step()
    assert other.param_groups[0]["lr"] == whole[6]


@pytest.mark.parametrize("make", [schedules.polynomial_decay, schedules.cosine])
def test_a_warm_up_that_does_not_fit_is_refused(make: Any) -> None:
    with pytest.raises(UserError, match="warmup=10 updates do not fit into total=5"):
        make(torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0), warmup=10, total=5)
