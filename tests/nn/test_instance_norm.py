"""Each utterance as torch normalises it alone."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F

from speechunits.nn.instance_norm import instance_norm
from speechunits.seq import pad


def test_is_torchs_for_each_utterance_alone() -> None:
    parts = [torch.randn(n, 3, dtype=torch.float64) * 4 + 2 for n in (9, 5)]
    out = instance_norm(pad(parts, Fraction(1, 50)))
    for row, part in zip(out.data, parts, strict=True):
        torch.testing.assert_close(row[: len(part)], F.instance_norm(part.T[None])[0].T, rtol=0, atol=1e-12)
    assert not out.data[1, 5:].any()
