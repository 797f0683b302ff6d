from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.measure import merge
from speechunits.metrics.unit_error_rate import UnitErrorRate
from speechunits.seq import Seq, pad

HOP = Fraction(1, 50)


def feed(clean: list[torch.Tensor], noisy: list[torch.Tensor], ids: list[str]) -> UnitErrorRate:
    out = UnitErrorRate()
    out.update({"units": pad(clean, HOP), "augmented_units": pad(noisy, HOP)}, {"ids": ids})
    return out


CLEAN = [torch.tensor([1, 1, 2, 3, 3, 3]), torch.tensor([7, 7, 7, 7, 8, 9, 9, 9, 5])]
NOISY = [torch.tensor([1, 2, 2, 2, 2, 4, 3]), torch.tensor([7, 8, 9, 5, 5])]


def test_deduplicated_and_averaged() -> None:
    # 1 2 3 -> 1 2 4 3: one insertion over 3; 7 8 9 5 -> the same
    assert feed(CLEAN, NOISY, ["a", "b"]).compute()["uer"] == pytest.approx(100 * (1 / 3 + 0) / 2)
    assert feed(CLEAN, CLEAN, ["a", "b"]).compute()["uer"] == 0


def test_codebooks_pool_within_an_utterance() -> None:
    # stream one 1 2 3 -> 1 2 3; stream two 4 -> 5: one edit over 3 + 1
    clean = torch.tensor([[1, 4], [2, 4], [3, 4]])
    noisy = torch.tensor([[1, 5], [2, 5], [3, 5]])
    assert feed([clean], [noisy], ["a"]).compute()["uer"] == pytest.approx(25)


def test_shards_and_duplicates() -> None:
    parts = [feed(CLEAN[:1], NOISY[:1], ["a"]), feed(CLEAN[::-1], NOISY[::-1], ["b", "a"])]
    joined = UnitErrorRate()
    joined.load(merge(p.state() for p in parts))
    assert joined.compute() == feed(CLEAN, NOISY, ["a", "b"]).compute()


def test_errors() -> None:
    with pytest.raises(UserError, match="a: no clean units"):
        empty = Seq(torch.full((1, 2), -1), torch.tensor([0]), HOP)
        UnitErrorRate().update({"units": empty, "augmented_units": empty}, {"ids": ["a"]})
    with pytest.raises(ValueError, match="codebooks"):
        feed([torch.tensor([1])], [torch.tensor([[1, 2]])], ["a"])
    with pytest.raises(UserError, match="has seen no utterance"):
        UnitErrorRate().compute()
