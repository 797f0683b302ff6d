from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.inputs.framewise_addition import FramewiseAddition
from speechunits.seq import Seq, pad


def frames(hop: Fraction, dim: int, *lengths: int) -> Seq:
    return pad([torch.randn(n, dim) for n in lengths], hop)


@pytest.mark.parametrize(("hop", "step"), [(Fraction(1, 50), 0.5), (Fraction(1, 25), 1.0), (Fraction(2, 25), 2.0)])
def test_each_frame_gets_the_features_of_its_moment(hop: Fraction, step: float) -> None:
    """x every 40 ms; y every 20, 40 or 80 ms, too short for the first utterance, too long for the second."""
    x, y = frames(Fraction(1, 25), 4, 9, 6), frames(hop, 3, int(7 / step), int(8 / step))
    made = FramewiseAddition(dim=4, dim_in=3)
    given = made(x, y)
    for b, n in enumerate((9, 6)):
        for t in range(n):
            there = int(t / step)
            added = made.linear(y.data[b, there]) if there < int(y.lengths[b]) else torch.zeros(4)
            torch.testing.assert_close(given.data[b, t], x.data[b, t] + added)
    assert given.hop == x.hop and given.lengths.equal(x.lengths) and not given.data[1, 6:].any()


def test_features_of_the_same_size_are_added_as_they_are() -> None:
    x, y = frames(Fraction(1, 50), 4, 5), frames(Fraction(1, 50), 4, 5)
    made = FramewiseAddition(dim=4, dim_in=4)
    assert not list(made.parameters())
    torch.testing.assert_close(made(x, y).data, x.data + y.data)
