"""Mean square of real frames, exactly counted."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.encoder import Frames, Pass
from speechunits.encoders.hidden import Hidden
from speechunits.objectives.feature_penalty import FeaturePenalty
from speechunits.objectives.passes import Passes
from speechunits.seq import Seq

HOP = Fraction(1, 50)


def look(dtype: torch.dtype = torch.float32) -> Pass:
    clean = Seq(
        torch.tensor([[[1.0, 3.0], [2.0, 0.0]], [[4.0, 2.0], [9.0, 9.0]]], dtype=dtype), torch.tensor([2, 1]), HOP
    )
    return Pass(clean, clean, Frames(clean.valid, torch.zeros_like(clean.valid), HOP), Hidden((clean.data,), clean))


def test_by_hand():
    """(1 + 9) / 2 + (4 + 0) / 2 + (16 + 4) / 2 = 17 over three real frames; the padding's 81 does not count."""
    objective, view = FeaturePenalty(2.0), look()
    term = objective(Passes([view]), {})["square"]
    assert float(term.num) == 17.0 and int(term.den) == 3 and term.weight == 2.0
    assert objective.counts([view.frames], {}) == {"square": term.den}


@pytest.mark.parametrize(
    ("dtype", "summed"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_squares_do_not_overflow_in_half_precision(dtype: torch.dtype, summed: torch.dtype):
    view = look(dtype)
    big = Pass(view.clean.with_data(view.clean.data * 1000), view.seen, view.frames, view.hidden)
    num = FeaturePenalty()(Passes([big]), {})["square"].num
    assert num.dtype == summed and float(num) == pytest.approx(17e6)
