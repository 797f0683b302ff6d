"""SpelledVectors: against the sum written out, what subwords share, and a model that is saved with its spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.inputs.spelled_vectors import SpelledVectors
from speechunits.inputs.unit_input import UnitInput
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.units.unit_bpe import UnitBPE, fit_subwords
from tests.tasks.hears import UNITS, hears

STREAM = Stream(None, (5,), "abc+dedup")


def fitted(seed: int = 0) -> UnitBPE:
    g = torch.Generator().manual_seed(seed)
    return fit_subwords([torch.randint(5, (60,), generator=g) for _ in range(20)], 16, stream=STREAM)


def test_a_vector_is_that_of_its_units_and_its_own() -> None:
    torch.manual_seed(0)
    made = SpelledVectors(fitted(), 4)
    assert not made.own.weight.any()
    torch.nn.init.normal_(made.own.weight)
    ids = torch.arange(16).reshape(4, 4)
    found = made(ids)
    for i in range(16):
        units = made.spelling.decode(torch.tensor([i]))
        expected = sum(made.units.weight[u] for u in units) / len(units) ** 0.5 + made.own.weight[i]
        torch.testing.assert_close(found.view(16, 4)[i], expected)
    assert max(len(made.spelling.decode(torch.tensor([i]))) for i in range(16)) > 1


def test_what_is_learned_of_a_unit_serves_all_that_hold_it() -> None:
    made = SpelledVectors(fitted(), 4)
    holding = [i for i in range(16) if 2 in made.spelling.decode(torch.tensor([i])).tolist()]
    before = made(torch.arange(16)).detach()
    with torch.no_grad():
        made.units.weight[2] += 1
    changed = (made(torch.arange(16)) != before).any(1).nonzero()[:, 0].tolist()
    assert changed == holding and 1 < len(holding) < 16


def test_a_recogniser_is_saved_with_its_spelling(tmp_path: Path) -> None:
    spelling = fitted()
    store.save(spelling, tmp_path / "subwords")
    restored = {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "subwords")}
    made = hears({**UNITS, "spelling": restored}, {"units": spelling.over(STREAM)})
    given = {"units": pad([torch.arange(16), torch.tensor([3])], None)}
    heard = made.hear(given)["ctc"].data
    heard.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.input.parameters())
    store.save(made, tmp_path / "asr")
    (tmp_path / "subwords").rename(tmp_path / "gone")
    torch.testing.assert_close(store.restore(tmp_path / "asr").hear(given)["ctc"].data, heard)


def test_other_subwords_are_refused(tmp_path: Path) -> None:
    store.save(fitted(1), tmp_path / "other")
    other = store.restore(tmp_path / "other")
    with pytest.raises(ValueError, match=r"spelling: the units abc\+dedup\+\w+ do not end in the subwords"):
        UnitInput(6, spelling=other, streams={"units": fitted().over(STREAM)})
