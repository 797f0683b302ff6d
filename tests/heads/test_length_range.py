"""LengthRange: sums of an update that count once, and limits around what was seen."""

from __future__ import annotations

import math
import statistics

import torch
from torch import nn

from speechunits.heads.length_range import LengthRange
from speechunits.seq import Seq


def text(*lengths: int) -> Seq:
    return Seq(torch.zeros(len(lengths), max(lengths), dtype=torch.int64), torch.tensor(lengths), None)


def test_limits_lie_around_what_was_seen() -> None:
    made = LengthRange(deviations=3.0, margin=0.1)
    made.gather(torch.tensor([4, 5]), text(9, 10))
    made.gather(torch.tensor([10, 0, 7]), text(18, 3, 0))  # without frames, without symbols: no pairs
    made.on_step(1, nn.Module())
    logs = [math.log(r) for r in (9 / 4, 10 / 5, 18 / 10)]
    mean, width = statistics.mean(logs), 3 * statistics.pstdev(logs) + 0.1
    fewest, most = made(torch.tensor([8]))[0].tolist()
    assert (fewest, most) == (math.floor(8 * math.exp(mean - width)), math.ceil(8 * math.exp(mean + width)))
    made.on_step(2, nn.Module())  # nothing was gathered since
    assert int(made.sums[0]) == 3


def test_an_update_that_is_left_out_leaves_nothing() -> None:
    made = LengthRange(before=3.0)
    made.gather(torch.tensor([4]), text(8))
    made.forget()
    made.on_step(1, nn.Module())
    assert made(torch.tensor([5, 0])).tolist() == [[0, 15], [0, 0]]
