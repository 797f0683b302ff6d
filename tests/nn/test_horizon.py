"""Who hears whom, against the rule written out frame by frame."""

from __future__ import annotations

import pytest
import torch

from speechunits.nn.horizon import Horizon
from speechunits.nn.memory import Memory
from speechunits.seq import Seq


def seq(frames: int, *lengths: int) -> Seq:
    return Seq(torch.randn(len(lengths), frames, 2, dtype=torch.float64), torch.tensor(lengths), None)


@pytest.mark.parametrize("left", [None, 0, 2, 3, 50])
@pytest.mark.parametrize("chunk", [None, 1, 4, 30])
def test_a_frame_hears_its_chunk_and_what_lies_left_of_it(chunk: int | None, left: int | None) -> None:
    whole = seq(11, 11, 6)
    keys = Horizon.over(whole, 2, chunk, left).keys.expand(2, 1, 11, 11)[:, 0]
    for b, real in enumerate((11, 6)):
        for i in range(real):
            begin = 0 if chunk is None else i // chunk * chunk
            first = 0 if chunk is None or left is None else begin - left
            behind = 11 if chunk is None else begin + chunk
            assert keys[b, i].tolist() == [first <= j < behind and j < real for j in range(11)]
    assert keys.any(-1).all()  # padding too: a softmax over nothing is NaN


@pytest.mark.parametrize("left", [None, 0, 2, 3])
@pytest.mark.parametrize("frames", [4, 8, 7])
def test_a_piece_hears_what_it_hears_in_the_whole(frames: int, left: int | None) -> None:
    whole = Horizon.over(seq(4 * 4, 16), 2, 4, left).keys.expand(1, 1, 16, 16)[0, 0]
    piece = Horizon.over(seq(frames, frames), 2, 4, left, start=8)
    past = 8 if left is None else left
    expected = whole[8 : 8 + frames, 8 - past : 8 + frames]
    assert piece.angles[0].size(0) == past + frames
    found = torch.ones_like(expected) if piece.keys is None else piece.keys.expand(1, 1, *expected.shape)[0, 0]
    assert torch.equal(found, expected)


def test_an_utterance_that_has_ended_is_finite() -> None:
    for chunk in (None, 2):
        assert Horizon.over(seq(4, 4, 0), 2, chunk).keys.expand(2, 1, 4, 4).any(-1).all()


def test_frames_before_are_zeros_then_what_was_remembered() -> None:
    x = seq(4, 4, 3)
    horizon = Horizon.over(x, 2, 4, 2)
    out = horizon.before(x.data, 2)
    assert out.shape == (2, 6, 2) and not out[:, :2].any() and not out[1, 5:].any()
    assert torch.equal(out[:, 2:], horizon.clear(x.data))
    first = Memory()
    Horizon(None, None, (), 4, 2, first).before(x.data, 2)
    again = Horizon(None, None, (), 4, 2, Memory(first.kept)).before(x.data, 2)
    assert torch.equal(again, torch.cat([x.data[:, 2:], x.data], 1))
