"""UnitEdits: by hand, merged on both sides, and the same however utterances are dealt out."""

from __future__ import annotations

from fractions import Fraction
from math import isnan
from typing import Any

import pytest
import torch

from speechunits.metrics.measure import Measure, merge
from speechunits.metrics.unit_edits import UnitEdits
from speechunits.seq import pad
from speechunits.units.units import Units

HOP = Fraction(1, 50)


def batch(*pairs: tuple[str, list[int], list[int]]) -> tuple[dict[str, Any], dict[str, Any]]:
    ids, said, written = zip(*pairs, strict=True)
    units = pad([torch.tensor(w, dtype=torch.int64)[:, None] for w in written], None)
    return {"units": Units(units, (9,), "abc")}, {
        "ids": list(ids),
        "units": pad([torch.tensor(s, dtype=torch.int64) for s in said], HOP),
    }


PAIRS = [("a", [1, 1, 2, 3, 3], [1, 2, 3]), ("b", [4, 5, 5, 4, 6], [4, 5, 4, 4, 7, 8]), ("c", [1, 2], [])]


def test_by_hand() -> None:
    measure = UnitEdits()
    assert isinstance(measure, Measure)
    measure.update(*batch(*PAIRS))
    found = measure.compute()  # 3 + 4 + 2 units: one substitution and one insertion in b, two deletions in c
    assert found == pytest.approx(
        {"uer": 400 / 9, "insertions": 100 / 9, "deletions": 200 / 9, "substitutions": 100 / 9, "exact": 100 / 3}
    )


def test_ranks_count_an_utterance_once() -> None:
    whole, first, second = UnitEdits(), UnitEdits(), UnitEdits()
    whole.update(*batch(*PAIRS))
    first.update(*batch(*PAIRS[:2]))
    second.update(*batch(*PAIRS[1:]))
    both = UnitEdits()
    both.load(merge([first.state(), second.state()]))
    assert both.compute() == whole.compute()


def test_without_a_unit_there_is_no_rate() -> None:
    measure = UnitEdits()
    measure.update(*batch(("a", [], [1])))
    assert isnan(measure.compute()["uer"])
