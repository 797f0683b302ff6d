"""Runs against itertools, and paces against exact times."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

import pytest
import torch

from speechunits.seq import pad, unpad
from speechunits.units.runs import inner_runs, paced

HOP = Fraction(1, 50)


@pytest.mark.parametrize("books", [0, 2])
def test_inner_runs(books: int) -> None:
    random = torch.Generator().manual_seed(0)
    shape = (books,) if books else ()
    rows = [torch.randint(2, (n, *shape), generator=random) for n in (40, 1, 17, 0, 2, 5)]
    starts, frames = inner_runs(pad(rows, HOP))
    assert frames.hop == HOP and starts.hop is None
    for row, begin, lasting in zip(rows, unpad(starts), unpad(frames), strict=True):
        runs, at = [], 0
        for _, run in groupby(row.tolist()):
            runs.append((at, n := len(list(run))))
            at += n
        runs = runs[1:-1] if len(runs) > 2 else runs
        assert list(zip(begin.tolist(), lasting.tolist(), strict=True)) == runs


def test_a_pace_keeps_time() -> None:
    frames = torch.randint(1, 6, (50,), generator=torch.Generator().manual_seed(0))
    assert paced(frames, 1.0).equal(frames)
    for speed in (0.5, 0.9, 1.3, 2.0):
        ends = paced(frames, speed).cumsum(0)
        assert float((ends - frames.cumsum(0) / speed).abs().max()) <= 0.5
    assert paced(torch.tensor([1, 1, 1]), 100.0).tolist() == [1, 0, 0], "something is always said"
