from __future__ import annotations

import pytest
import torch

from speechunits.draws import draws
from speechunits.inputs.unit_corruption import UnitCorruption
from speechunits.seq import Seq, pad


def units(*lengths: int, vocab: tuple[int, ...] = (6, 3)) -> Seq:
    return pad([torch.stack([torch.arange(n) % v for v in vocab], 1) for n in lengths], None)


def test_so_many_are_others_of_the_same_codebook() -> None:
    given = units(6000)
    heard = UnitCorruption(0.25)(given, (6, 3), draws(["a"]))
    changed = heard.data != given.data
    assert changed[0].double().mean(0).tolist() == pytest.approx([0.25, 0.25], abs=0.03)
    for k, size in enumerate((6, 3)):
        found = heard.data[0, changed[0, :, k], k]
        assert torch.bincount(found, minlength=size).tolist() == pytest.approx([1500 / size] * size, rel=0.25)
    everything = UnitCorruption(1.0)(given, (6, 3), draws(["a"])).data
    assert bool((everything != given.data).all()) and bool(
        ((everything >= 0) & (everything < torch.tensor([6, 3]))).all()
    )
    assert UnitCorruption(0.0)(given, (6, 3), draws(["a"])).data.equal(given.data)


def test_only_seed_epoch_and_id_decide() -> None:
    part, given = UnitCorruption(0.5), units(40, 12)
    both = part(given, (6, 3), draws(["a", "b"], 1, 2))
    alone = part(units(12), (6, 3), draws(["b"], 1, 2))
    assert both.data[1, :12].equal(alone.data[0]) and bool((both.data[1, 12:] == -1).all())
    assert not part(given, (6, 3), draws(["a", "b"], 1, 3)).data.equal(both.data)
    assert given.data.equal(units(40, 12).data), "the batch itself is left alone"


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"share = 1.1: give a share between 0 and 1"):
        UnitCorruption(1.1)
    one = pad([torch.zeros(5, 1, dtype=torch.int64)], None)
    assert UnitCorruption(1.0)(one, (1,), draws(["a"])).data.unique().tolist() == [0]  # there is no other
