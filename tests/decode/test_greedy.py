"""Greedy: the best path by hand, whatever is beyond the lengths."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F

from speechunits.decode.greedy import Greedy
from speechunits.seq import Seq


def test_runs_merge_and_blanks_part_equal_symbols() -> None:
    paths = torch.tensor([[0, 0, 2, 0, 1, 1, 2, 2], [2, 2, 2, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    scores = Seq(F.one_hot(paths, 3).double().log(), torch.tensor([8, 3, 0]), Fraction(1, 50))
    assert [x.tolist() for x in Greedy()(scores)] == [[0, 0, 1], [], []]
