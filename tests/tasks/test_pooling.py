"""Means and deviations over real frames only."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.seq import Seq
from speechunits.tasks.pooling import pool


def test_padding_does_not_enter() -> None:
    data = torch.randn(3, 6, 4)
    lengths = torch.tensor([6, 3, 1])
    data[1, 3:], data[2, 1:] = 99.0, float("nan")
    seq = Seq(data, lengths, Fraction(1, 50))
    rows = [data[i, :n].double().numpy() for i, n in enumerate(lengths.tolist())]
    np.testing.assert_allclose(pool(seq, "mean"), np.stack([r.mean(0) for r in rows]), rtol=1e-6)
    both = np.stack([np.concatenate([r.mean(0), r.std(0)]) for r in rows])
    np.testing.assert_allclose(pool(seq, "mean+std"), both, rtol=1e-5, atol=1e-7)
    assert pool(seq, "mean+std")[2, 4:].tolist() == [0, 0, 0, 0]


def test_no_frame_and_no_such_pool() -> None:
    seq = Seq(torch.zeros(2, 3, 1), torch.tensor([3, 0]), None)
    with pytest.raises(ValueError, match="without a frame"):
        pool(seq, "mean")
    with pytest.raises(ValueError, match=r"mean and mean\+std"):
        pool(seq, "max")
