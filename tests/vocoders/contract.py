"""What every generator has to keep to."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import nn

from speechunits.seq import Seq, unpad

HOP = Fraction(1, 50)


def shaken(made: nn.Module) -> nn.Module:
    """In float64, with weights so large that every part shows in every sample."""
    for name, p in made.double().named_parameters():
        if name.endswith("original0"):  # lengths of normalised weights
            nn.init.uniform_(p, 0.7, 1.5)
        else:
            nn.init.normal_(p, std=0.3)
    return made


def frames(lengths: Sequence[int], dim: int) -> Seq:
    """Padding is not zero: nothing may depend on what stands there."""
    return Seq(torch.randn(len(lengths), max(lengths), dim, dtype=torch.float64), torch.tensor(lengths), HOP)


def check_generator(made: nn.Module, lengths: Sequence[int] = (4, 9, 1, 7)) -> None:
    """Rate, lengths, range; utterances alone as in a batch; the same twice, and folded; a gradient for all that learns."""
    made, x = shaken(made).eval(), frames(lengths, made.dim)  # type: ignore[arg-type]
    given, wave = x.data.clone(), made(x)
    wave = wave.with_data(wave.data.detach())
    assert x.data.equal(given), "what it was given belongs to another"
    assert made.hop == HOP and made.factor == HOP * made.rate
    assert wave.hop == Fraction(1, made.rate) and wave.lengths.equal(x.lengths * made.factor)  # type: ignore[arg-type]
    assert wave.data.shape == (len(lengths), max(lengths) * made.factor)  # type: ignore[operator]
    assert 0.01 < float(wave.data.abs().max()) <= 1 and not wave.data[~wave.valid].any()
    for row, alone in zip(unpad(wave), unpad(x), strict=True):
        whole = made(Seq(alone[None], torch.tensor([len(alone)]), HOP))
        torch.testing.assert_close(row, whole.data[0], rtol=0, atol=1e-10)
    with torch.no_grad():
        again = made(x)
        assert again.data.equal(made(x).data) and again.lengths.equal(wave.lengths)
        torch.testing.assert_close(again.data, wave.data, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="takes a frame each 1/50 s, found 1/100 s"):
        made(Seq(x.data, x.lengths, Fraction(1, 100)))
    made.train()(x).data.square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    made.eval().fold()  # type: ignore[operator]
    torch.testing.assert_close(made(x).data, wave.data, rtol=0, atol=1e-12)
    assert [n for n in made.state_dict() if "parametrizations" in n] == []
    made.fold()  # type: ignore[operator]
    with torch.autocast("cpu", torch.bfloat16):
        assert made.float()(x.to(torch.float32)).data.dtype == torch.float32
