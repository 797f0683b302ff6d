"""Seq: padding, moving, and the one place where two rates meet."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.seq import Seq, pad, unpad

HZ100, HZ50, HZ25 = Fraction(1, 100), Fraction(1, 50), Fraction(1, 25)


def codes(*items: list[int], hop: Fraction | None = HZ100) -> Seq:
    return pad([torch.tensor(x) for x in items], hop)


def test_pad_fills_integers_with_minus_one_and_floats_with_zero():
    seq = codes([1, 2, 3], [4])
    assert seq.data.tolist() == [[1, 2, 3], [4, -1, -1]] and seq.lengths.tolist() == [3, 1]
    assert seq.lengths.dtype == torch.int64 and seq.hop == HZ100
    assert pad([torch.ones(1, 2), torch.ones(2, 2)], HZ50).data[0].tolist() == [[1, 1], [0, 0]]


def test_valid_is_true_on_real_frames():
    assert codes([1, 2], [3]).valid.tolist() == [[True, True], [True, False]]


def test_unpad_inverts_pad():
    items = [torch.randn(n, 3) for n in (4, 1, 7)]
    for a, b in zip(unpad(pad(items, HZ50)), items, strict=True):
        assert torch.equal(a, b)


def test_going_down_picks_every_second_frame():
    down = codes([0, 1, 2, 3, 4], [5, 6]).at(HZ50, 3)
    assert down.data.tolist() == [[0, 2, 4], [5, -1, -1]]
    assert down.lengths.tolist() == [3, 1] and down.hop == HZ50


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_going_down_is_fairseqs_index(ratio: int):
    """HuBERT: labels[floor(arange(T) * feat2tar_ratio)]."""
    labels = np.random.default_rng(0).integers(500, size=37)
    frames = -(-37 // ratio)
    ours = codes(labels.tolist()).at(HZ100 * ratio, frames)
    assert ours.data[0].tolist() == labels[np.floor(np.arange(frames) * ratio).astype(int)].tolist()


def test_going_up_repeats_each_frame():
    up = codes([7, 8], [9], hop=HZ50).at(HZ100, 5)
    assert up.data.tolist() == [[7, 7, 8, 8, -1], [9, 9, -1, -1, -1]] and up.lengths.tolist() == [4, 2]


def test_down_after_up_is_the_identity():
    seq = codes([1, 2, 3], [4, 5], hop=HZ25)
    again = seq.at(HZ100, 12).at(HZ25, 3)
    assert torch.equal(again.data, seq.data) and torch.equal(again.lengths, seq.lengths)


def test_the_same_hop_only_cuts_and_pads():
    seq = codes([1, 2, 3], [4])
    assert seq.at(HZ100, 2).data.tolist() == [[1, 2], [4, -1]] and seq.at(HZ100, 2).lengths.tolist() == [2, 1]
    assert seq.at(HZ100, 4).data.tolist() == [[1, 2, 3, -1], [4, -1, -1, -1]]
    assert seq.at(HZ100, 4).lengths.tolist() == [3, 1]


def test_trailing_dimensions_and_floats_are_kept():
    seq = pad([torch.arange(6.0).view(3, 2)], HZ100)
    assert seq.at(HZ50, 3).data.tolist() == [[[0, 1], [4, 5], [0, 0]]]


def test_a_ratio_that_is_not_an_integer_is_refused():
    with pytest.raises(ValueError, match=r"1/50 s.*3/100 s.*3/2 is not an integer"):
        codes([1, 2], hop=HZ50).at(Fraction(3, 100), 1)


@pytest.mark.parametrize(("own", "asked"), [(None, HZ50), (HZ50, None), (None, None)])
def test_no_hop_is_refused(own: Fraction | None, asked: Fraction | None):
    with pytest.raises(ValueError, match="without a hop"):
        codes([1, 2], hop=own).at(asked, 1)


def test_moving_to_a_float_type_keeps_lengths():
    seq = pad([torch.randn(3, 2)], HZ50).to(torch.float64)
    assert seq.data.dtype == torch.float64 and seq.lengths.dtype == torch.int64
    meta = seq.to("meta")
    assert meta.data.is_meta and meta.lengths.is_meta


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3,\)"):
        Seq(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), HZ50)
