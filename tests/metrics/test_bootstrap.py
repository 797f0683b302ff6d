"""Bootstrap: the distribution of all resamples written out, and sums that move together."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from speechunits.metrics import bootstrap
from speechunits.metrics.bootstrap import percentiles, resampled

TABLE = np.array([[1.0, 10.0], [4.0, 5.0], [0.0, 8.0], [2.0, 2.0]])


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [0, 0, 1, 2], ["b", "a", "b", "a"]])
def test_against_every_resample(groups: list) -> None:
    """All G^G equally likely draws of G groups: each outcome as often as it should come."""
    names, draws = sorted(set(groups)), 4000
    sums = {g: sum(TABLE[i] for i, own in enumerate(groups) if own == g) for g in names}
    every = Counter(tuple(sum(sums[g] for g in drawn)) for drawn in product(names, repeat=len(names)))
    found = Counter(map(tuple, resampled(TABLE, np.array(groups), draws, seed=0)))
    assert found.keys() <= every.keys() and sum(found.values()) == draws
    for outcome, ways in every.items():
        p = ways / len(names) ** len(names)
        assert abs(found[outcome] / draws - p) < 4 * (p * (1 - p) / draws) ** 0.5, outcome


def test_the_seed_decides() -> None:
    groups = np.arange(4)
    a, b, c = (resampled(TABLE, groups, 50, seed) for seed in (1, 1, 2))
    assert (a == b).all() and not (a == c).all()


def test_drawing_several_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against one draw at a time, written out."""
    generator = np.random.default_rng(3)
    want = [TABLE[generator.integers(4, size=4)].sum(0) for _ in range(50)]
    for at_once in (1, 7 * 4, 10**6):
        monkeypatch.setattr(bootstrap, "AT_ONCE", at_once)
        assert resampled(TABLE, np.arange(4), 50, 3).tolist() == [row.tolist() for row in want]


def test_rows_of_a_group_stay_together() -> None:
    found = resampled(np.array([[1.0], [-1.0], [5.0], [-5.0]]), np.array(["x", "x", "y", "y"]), 200, seed=0)
    assert (found == 0).all()


def test_percentiles() -> None:
    assert percentiles(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert percentiles(np.array([1.0, np.nan]), 0.9) == (1, 1)
    assert np.isnan(percentiles(np.array([np.nan]), 0.9)).all()
