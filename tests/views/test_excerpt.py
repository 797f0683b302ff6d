"""Excerpt: parts of what is there, drawn per utterance and by nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.draws import draws
from speechunits.seq import pad, unpad
from speechunits.views.excerpt import Excerpt

RATE = Fraction(1, 16000)


def audio(*seconds: float) -> list[torch.Tensor]:
    return [torch.arange(round(16000 * s)).float() + 1000000 * i for i, s in enumerate(seconds)]


def test_a_part_of_each_and_all_of_what_is_short() -> None:
    rows = audio(2.0, 0.25, 1.0)
    out = Excerpt(0.5)(pad(rows, RATE), draws(["a", "b", "c"]))
    assert out.lengths.tolist() == [8000, 4000, 8000] and out.hop == RATE
    for part, row in zip(unpad(out), rows, strict=True):
        start = int(part[0] - row[0])
        assert torch.equal(part, row[start : start + len(part)])


def test_batch_mates_do_not_enter_and_other_draws_do() -> None:
    rows, view = audio(2.0, 1.5), Excerpt(0.5)
    together = unpad(view(pad(rows, RATE), draws(["a", "b"])))
    alone = [unpad(view(pad([row], RATE), draws([name])))[0] for row, name in zip(rows, "ab", strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    for other in (draws(["a", "b"], epoch=1), draws(["a", "b"]).scoped("view:1")):
        assert not torch.equal(view(pad(rows, RATE), other).data, view(pad(rows, RATE), draws(["a", "b"])).data)


def test_frames_are_cut_as_well() -> None:
    out = Excerpt(0.5)(pad([torch.randn(100, 3)], Fraction(1, 50)), draws(["a"]))
    assert out.data.shape == (1, 25, 3)


def test_no_seconds() -> None:
    with pytest.raises(ValueError, match="give a length above 0"):
        Excerpt(0)
