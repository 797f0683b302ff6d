"""Errors of durations by hand, over ranks, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.duration_errors import DurationErrors
from speechunits.seq import pad
from tests.metrics.sounds import check_ranks

HOP = Fraction(1, 50)
TRUE = [torch.tensor([3, 1, 2, 4]), torch.tensor([5, 5])]
MADE = [torch.tensor([3, 2, 2, 1]), torch.tensor([6, 5])]


def test_by_hand_and_over_ranks() -> None:
    batch = {"durations": pad(TRUE, HOP), "ids": ["a", "b"]}
    found = check_ranks(DurationErrors, {"durations": pad(MADE, HOP)}, batch)
    assert found["duration_error"] == pytest.approx(20 * (0 + 1 + 0 + 3 + 1 + 0) / 6)
    assert found["duration_bias"] == pytest.approx(20 * (1 - 3 + 1) / 6)
    assert found["length_error"] == pytest.approx((100 * 2 / 10 + 100 * 1 / 10) / 2)
    want = np.corrcoef([3, 1, 2, 4], [3, 2, 2, 1])[0, 1]  # 5 and 5 have no correlation with anything
    assert found["duration_correlation"] == pytest.approx(want)


def test_what_is_right() -> None:
    measure = DurationErrors()
    measure.update({"durations": pad(TRUE[:1], HOP)}, {"durations": pad(TRUE[:1], HOP), "ids": ["a"]})
    assert [round(x, 9) for x in measure.compute().values()] == [0, 0, 1, 0]


def test_mistakes() -> None:
    batch = {"durations": pad(TRUE, HOP), "ids": ["a", "b"]}
    with pytest.raises(ValueError, match="other numbers of units on its two sides"):
        DurationErrors().update({"durations": pad(TRUE[:1] * 2, HOP)}, batch)
    with pytest.raises(ValueError, match="count frames of 1/100 s and of 1/50 s"):
        DurationErrors().update({"durations": pad(MADE, HOP / 2)}, batch)
    empty = {"durations": pad([torch.zeros(0, dtype=torch.int64)], HOP), "ids": ["a"]}
    with pytest.raises(UserError, match="a: no units, so no durations"):
        DurationErrors().update(empty, empty)
