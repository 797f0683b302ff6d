"""SinusoidalPositions: those of tensor2tensor, as transformers has them, from any start."""

from __future__ import annotations

import pytest
import torch
from transformers.models.speech_to_text.modeling_speech_to_text import (
    Speech2TextSinusoidalPositionalEmbedding as Theirs,
)

from speechunits.nn.sinusoidal_positions import SinusoidalPositions


def test_are_those_of_transformers() -> None:
    want = Theirs.get_embedding(40, 12)
    torch.testing.assert_close(SinusoidalPositions(dim=12)(torch.empty(2, 40, 12)), want, rtol=0, atol=1e-5)


def test_begin_anywhere_and_keep_their_precision() -> None:
    positions, x = SinusoidalPositions(dim=8), torch.empty(1, 3000, 8, dtype=torch.float64)
    whole = positions(x)
    torch.testing.assert_close(positions(x[:, :5], start=7), whole[7:12])
    assert float(whole[3].norm()) == pytest.approx(2.0)  # sine and cosine of four angles
    half = positions(x.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double()[-9:], whole[-9:], rtol=0, atol=0.01)


@pytest.mark.parametrize("dim", [2, 7])
def test_too_few_features(dim: int) -> None:
    with pytest.raises(ValueError, match=f"dim {dim} does not divide"):
        SinusoidalPositions(dim=dim)
