"""Level, clipping and silence by hand."""

from __future__ import annotations

import math

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.levels import Levels, clipped, level
from tests.metrics.sounds import alone, batch_of, check_ranks

SINE = torch.sin(2 * torch.pi * 100 * torch.arange(16000) / 16000)


def test_by_hand() -> None:
    assert level(SINE) == pytest.approx(-3.0103, abs=1e-3) and level(torch.ones(9)) == 0
    assert level(0.1 * SINE) == pytest.approx(level(SINE) - 20)
    assert level(torch.zeros(9)) == level(torch.zeros(0)) == -math.inf
    assert not clipped(0.999 * SINE) and clipped((2 * SINE).clamp(-1, 1)) and not clipped(torch.ones(2))
    assert clipped(torch.tensor([0.0, 1, -1, 32767 / 32768]))  # 16 bits reach no 1


def test_over_ranks() -> None:
    waves = [0.1 * SINE, (2 * SINE).clamp(-1, 1)[:8000], 1e-4 * SINE, torch.zeros(4000)]
    outputs, batch = batch_of(waves, waves, list("abcd"))
    found = check_ranks(Levels, outputs, batch)
    assert found["level"] == pytest.approx((level(waves[0]) + level(waves[1])) / 2)
    assert (
        found["clipped"] == 25 and found["silent"] == 50 and found["seconds"] == pytest.approx((1 + 0.5 + 1 + 0.25) / 4)
    )
    measure = Levels()
    measure.update(outputs, batch)
    assert measure.named("clipped") == ["b"] and measure.named("silent") == ["c", "d"]


def test_mistakes() -> None:
    with pytest.raises(UserError, match="a: has NaN or infinite samples"):
        Levels().update({"audio": alone(SINE * torch.nan)}, {"ids": ["a"]})
