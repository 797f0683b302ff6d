"""GlobalNorm: mean 0 and variance 1 over a corpus, whatever its batches."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.errors import UserError
from speechunits.nn.global_norm import GlobalNorm, fit_norm
from speechunits.seq import pad, unpad

HOP = Fraction(1, 100)


def test_what_was_measured_is_normalised(tmp_path: Path) -> None:
    rows = [torch.randn(n, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]) + 7 for n in (50, 20, 31)]
    made = fit_norm([pad(rows[:2], HOP), pad(rows[2:], HOP)]).double()
    frames = torch.cat(rows)
    torch.testing.assert_close(made.mean, frames.mean(0), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(made.scale, 1 / frames.std(0, correction=0), atol=1e-5, rtol=1e-5)
    given = made(pad(rows, HOP))
    together = torch.cat(unpad(given))
    torch.testing.assert_close(together.mean(0), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(together.std(0, correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)
    assert not given.data[1, 20:].any(), "padding becomes 0"
    store.save(made, tmp_path / "norm", kind="norm")
    assert store.restore(tmp_path / "norm", expect=GlobalNorm).mean.equal(made.float().mean)


def test_as_built_it_changes_nothing_and_a_constant_feature_is_no_division_by_zero() -> None:
    x = pad([torch.randn(9, 2)], HOP)
    assert GlobalNorm(dim=2)(x).data.equal(x.data)
    assert fit_norm([x.with_data(torch.ones_like(x.data))])(x).data.isfinite().all()


def test_a_corpus_without_frames_is_refused() -> None:
    with pytest.raises(UserError, match="no frame to measure"):
        fit_norm([])
