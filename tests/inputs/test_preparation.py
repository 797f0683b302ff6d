"""Preparation: the slots in their order, lengths and edges without a forward pass, and batch-mates that change nothing."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import torch

from speechunits.draws import draws
from speechunits.inputs.preparation import Preparation
from speechunits.maskers.spec_augment import SpecAugment
from speechunits.nn.conv1d_subsampling import Conv1dSubsampling
from speechunits.nn.conv2d_subsampling import Conv2dSubsampling
from speechunits.nn.global_norm import GlobalNorm
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 100)


def frames(*lengths: int) -> Seq:
    return pad([torch.randn(n, 12, dtype=torch.float64) for n in lengths], HOP)


def make() -> Preparation:
    made = Preparation(GlobalNorm, SpecAugment(warp=5), partial(Conv2dSubsampling, 8), dim=12, hop=HOP)
    assert made.norm is not None
    made.norm.mean.fill_(0.5)  # type: ignore[operator, union-attr]
    return made.double()


def test_without_slots_frames_are_as_they_were() -> None:
    x, made = frames(30, 20), Preparation(dim=12, hop=HOP)
    assert made(x, draws(["a", "b"])).data.equal(x.data) and (made.dim, made.hop) == (12, HOP)
    assert made.frames(x.lengths).equal(x.lengths)


def test_normalised_then_hidden_then_subsampled() -> None:
    x, made, drawn = frames(61, 40), make(), draws(["a", "b"])
    assert made.norm is not None and made.augment is not None and made.subsampling is not None
    step = made.norm(x)
    torch.testing.assert_close(made(x).data, made.subsampling(step).data)
    torch.testing.assert_close(made(x, drawn).data, made.subsampling(made.augment(step, drawn)[0]).data)
    assert not made(x, drawn).data.equal(made(x).data)


def test_lengths_rate_and_edges_are_known_before() -> None:
    x, made = frames(61, 40, 3), make()
    y = made(x)
    assert y.hop == made.hop == Fraction(1, 25) and y.data.size(-1) == made.dim == 8
    assert made.frames(x.lengths).equal(y.lengths)
    edges = made.edges(x.lengths)
    assert edges.dtype == torch.float64 and edges.shape == (3, y.data.size(1) + 1)
    for row, n in zip(edges, y.lengths.tolist(), strict=True):
        torch.testing.assert_close(row[: n + 1], torch.arange(n + 1).double() / 25)
        assert row[n:].unique().numel() == 1, "no time passes in padding"


def test_batch_mates_change_nothing() -> None:
    x, made, names = frames(61, 40, 17), make(), ["a", "b", "c"]
    for drawn in (None, draws(names)):
        for row, one, name in zip(unpad(made(x, drawn)), unpad(x), names, strict=True):
            alone = made(pad([one], HOP), drawn and draws([name]))
            torch.testing.assert_close(row, alone.data[0])


def test_gradients_reach_what_learns() -> None:
    made = Preparation(None, SpecAugment, partial(Conv1dSubsampling, 8), dim=12, hop=HOP).double()
    made(frames(61, 40), draws(["a", "b"])).data.square().sum().backward()
    assert all(p.grad is not None for p in made.parameters()) and made.hop == HOP * 2
