"""Dedup: runs by hand, and nothing lost."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.seq import pad, unpad
from speechunits.stream import Stream
from speechunits.units.dedup import Dedup
from speechunits.units.units import Units

HOP = Fraction(1, 50)


def units(*rows: list[int] | list[list[int]], vocab: tuple[int, ...] = (9,)) -> Units:
    tensors = [torch.tensor(row, dtype=torch.int64).reshape(len(row), len(vocab)) for row in rows]
    return Units(pad(tensors, HOP), vocab, "tok")


def test_runs_by_hand():
    merged = Dedup()(units([3, 3, 3, 1, 1, 3], [7, 7], []))
    assert merged.lists() == [[3, 1, 3], [7], []]
    assert merged.ids.hop is None and merged.durations is not None and merged.durations.hop == HOP
    assert [d.tolist() for d in unpad(merged.durations)] == [[3, 2, 1], [2], []]
    assert merged.durations.data[1].tolist() == [2, -1, -1] and merged.ids.data[1, 1:].unique().tolist() == [-1]
    assert (merged.vocab, merged.fingerprint) == ((9,), "tok")


def test_a_run_ends_where_any_codebook_changes():
    merged = Dedup()(units([[1, 5], [1, 5], [1, 6], [2, 6]], vocab=(4, 8)))
    assert merged.lists() == [[[1, 5], [1, 6], [2, 6]]]
    assert unpad(merged.durations)[0].tolist() == [2, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize("vocab", [(3,), (3, 2), (2, 2, 2)])
def test_nothing_is_lost(vocab: tuple[int, ...]):
    rng = torch.Generator().manual_seed(0)
    lengths = [40, 1, 17, 0, 28]
    rows = [torch.stack([torch.randint(v, (n,), generator=rng) for v in vocab], -1) for n in lengths]
    whole = Units(pad(rows, HOP), vocab, "tok")
    merged = Dedup()(whole)
    assert [int(d.sum()) for d in unpad(merged.durations)] == lengths  # type: ignore[arg-type]
    for row in unpad(merged.ids):
        assert bool((row[1:] != row[:-1]).any(-1).all()), "two equal neighbours were left"
    back = Dedup.expand(merged)
    assert back.durations is None and back.ids.hop == HOP
    assert torch.equal(back.ids.data, whole.ids.data) and torch.equal(back.ids.lengths, whole.ids.lengths)


def test_what_is_not_merged_expands_to_itself_and_is_merged_once():
    plain = units([1, 1, 2])
    assert Dedup.expand(plain) is plain
    with pytest.raises(ValueError, match="merged already"):
        Dedup()(Dedup()(plain))


def test_units_say_how_many_codebooks_they_have():
    with pytest.raises(ValueError, match=r"\(B, T, 2\) for 2 codebook"):
        Units(pad([torch.zeros(3, 1, dtype=torch.int64)], HOP), (4, 4), "tok")


def test_as_a_step_it_adds_up_frames_and_says_what_comes_out():
    ids, frames = Dedup.shorten(torch.tensor([3, 3, 1, 1, 1, 3]), torch.tensor([2, 1, 1, 4, 1, 2]))
    assert ids.tolist() == [3, 1, 3] and frames.tolist() == [3, 6, 2]
    ids, frames = Dedup.shorten(torch.tensor([[3, 0], [3, 0], [3, 1]]), torch.ones(3, dtype=torch.int64))
    assert ids.tolist() == [[3, 0], [3, 1]] and frames.tolist() == [2, 1]
    assert Dedup.over(Stream(HOP, (9,), "tok")) == Stream(None, (9,), "tok+dedup")
