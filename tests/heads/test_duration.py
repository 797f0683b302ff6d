"""Durations against the equations written out for one utterance at a time, and against numbers by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from speechunits.heads.duration import DurationPredictor
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 50)


def reference(made: DurationPredictor, x: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N,): conv, ReLU, norm, twice; linear."""
    for conv, norm in zip(made.convs.convs, made.convs.norms, strict=True):
        padded = F.pad(x.T, (1, 1))
        windows = torch.stack([padded[:, n : n + 3] for n in range(len(x))])  # (N, D, 3)
        x = torch.relu(torch.einsum("ndk,odk->no", windows, conv.weight) + conv.bias)
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        x = (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias
    return x @ made.linear.weight[0] + made.linear.bias


def made() -> DurationPredictor:
    torch.manual_seed(0)
    return DurationPredictor(hidden=7, dim=5).double()


def batch(*lengths: int) -> Seq:
    rows = [torch.randn(n, 5, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in lengths]
    x = pad(rows, None)
    return x.with_data(x.data.masked_fill(~x.valid[..., None], 3.0))  # what lies on padding is not heard


def test_a_batch_gives_what_the_reference_gives_of_each_utterance() -> None:
    predictor, lengths = made().eval(), (9, 1, 4)
    heard = predictor(batch(*lengths))
    for row, n in zip(unpad(batch(*lengths).with_data(heard)), lengths, strict=True):
        torch.testing.assert_close(row, reference(predictor, batch(n).data[0]), rtol=0, atol=1e-12)


def test_frames_are_whole_and_one_at_least() -> None:
    predictor = made().eval()
    torch.nn.init.zeros_(predictor.linear.weight)
    for frames, expected in ((0.2, 1), (0.0, 1), (1.4, 1), (1.6, 2), (12.0, 12)):
        torch.nn.init.constant_(predictor.linear.bias, math.log(frames + 1))
        assert predictor.frames(batch(2, 1)).tolist() == [[expected, expected], [expected, -1]]


def test_the_squared_error_of_logarithms() -> None:
    predictor = made().eval()
    x, frames = batch(3, 2), pad([torch.tensor([1, 7, 2]), torch.tensor([3, 30])], HOP)
    said = predictor(x).detach()
    expected = sum(
        (float(said[b, n]) - math.log(f + 1)) ** 2
        for b, row in enumerate(([1, 7, 2], [3, 30]))
        for n, f in enumerate(row)
    )
    term = predictor.term(x, frames)
    torch.testing.assert_close(float(term.num), expected)
    assert int(term.den) == 5
    term.num.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in predictor.parameters())


def test_dropout_is_that_of_training_and_even_kernels_are_refused() -> None:
    predictor, x = made(), batch(6)
    assert not predictor(x).equal(predictor(x)) and predictor.eval()(x).equal(predictor(x))
    with pytest.raises(ValueError, match="kernel = 4: give an odd number"):
        DurationPredictor(kernel=4, dim=5)
