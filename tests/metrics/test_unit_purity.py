from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.measure import Measure, merge
from speechunits.metrics.unit_purity import UnitPurity
from speechunits.seq import Seq, pad

FRAME, HALF = Fraction(1, 50), Fraction(1, 100)


def measure(phones: list[list[int]], units: list[list[int]], ids: list[str], hop: Fraction = FRAME) -> UnitPurity:
    out = UnitPurity()
    batch = {"phones": pad([torch.tensor(p) for p in phones], HALF), "ids": ids}
    out.update({"units": pad([torch.tensor(u) for u in units], hop)}, batch)
    return out


PHONES = [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 2, 2]]
UNITS = [[3, 3, 4, 4], [4, 5]]


def test_rates_meet_on_the_finer_grid() -> None:
    out = measure(PHONES, UNITS, ["a", "b"]).compute()
    assert out["pnmi"] == pytest.approx(1)
    assert out["phone_purity"] == out["cluster_purity"] == 1
    assert out["unit_run"] == out["phone_run"] == 12 / 4
    assert isinstance(UnitPurity(), Measure)


def test_hand_made_figures() -> None:
    # at 10 ms: phones 0 0 0 0 1 1 -, units 3 3 3 3 3 3 4 4: one phone-1 pair under unit 3, the rest unlabelled
    out = measure([[0, 0, 0, 0, 1, 1, -1, -1]], [[3, 3, 3, 4]], ["a"]).compute()
    assert out["phone_purity"] == pytest.approx(4 / 6)
    assert out["cluster_purity"] == 1
    assert out["pnmi"] == pytest.approx(0)
    assert out["unit_run"] == 8 / 2
    assert out["phone_run"] == 6 / 2


def test_shards_merge_and_duplicates_count_once() -> None:
    whole = measure(PHONES, UNITS, ["a", "b"])
    first, second = measure(PHONES[:1], UNITS[:1], ["a"]), measure(PHONES[::-1], UNITS[::-1], ["b", "a"])
    joined = UnitPurity()
    joined.load(merge([second.state(), first.state()]))
    assert joined.compute() == whole.compute()
    joined.reset()
    with pytest.raises(UserError, match="UnitPurity has seen no utterance"):
        joined.compute()


def test_padding_does_not_count() -> None:
    alone = UnitPurity()
    for p, u, key in zip(PHONES, UNITS, "ab", strict=True):
        alone.load(merge([alone.state(), measure([p], [u], [key]).state()]))
    assert alone.compute() == measure(PHONES, UNITS, ["a", "b"]).compute()


def test_several_codebooks() -> None:
    units = pad([torch.tensor([[3, 0], [3, 0], [4, 0], [4, 0]])], FRAME)
    out = UnitPurity()
    out.update({"units": units}, {"phones": pad([torch.tensor(PHONES[0])], HALF), "ids": ["a"]})
    got = out.compute()
    assert got["pnmi_1"] == pytest.approx(1)
    assert got["pnmi_2"] == pytest.approx(0)
    assert got["pnmi"] == pytest.approx(0.5)
    assert got["phone_purity_2"] == 0.5


def test_wrong_hop_is_caught() -> None:
    with pytest.raises(ValueError, match=r"a: units last 0\.40 s and phones 0\.80 s"):
        measure([[0] * 80], [[1] * 40], ["a"], hop=HALF)


def test_missing_field_and_bad_ids() -> None:
    units = pad([torch.tensor([1, 2])], FRAME)
    with pytest.raises(UserError, match="needs 'phones'"):
        UnitPurity().update({"units": units}, {"ids": ["a"]})
    holes = Seq(torch.tensor([[1, -1]]), torch.tensor([2]), FRAME)
    with pytest.raises(ValueError, match="negative ids on real frames"):
        UnitPurity().update({"units": holes}, {"ids": ["a"], "phones": units})


def test_one_id_for_two_recordings_is_caught() -> None:
    with pytest.raises(ValueError, match="'a' came twice"):
        measure(PHONES, UNITS, ["a", "a"])
    with pytest.raises(ValueError, match="give every utterance its own id"):
        merge([measure(PHONES[:1], UNITS[:1], ["a"]).state(), measure(PHONES[1:], UNITS[1:], ["a"]).state()])
