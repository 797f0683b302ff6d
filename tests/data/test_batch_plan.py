from __future__ import annotations

import hashlib
import itertools
import time
from typing import Any

import numpy as np
import pytest

from speechunits.data.batch_plan import BatchPlan, evaluation_batches
from speechunits.errors import UserError


def durations(count: int, seed: int = 0) -> np.ndarray:
    """Like LibriSpeech: most utterances of 12 to 17 s, the rest anything down to 1.3 s; mean 12.6 s."""
    random = np.random.default_rng(seed)
    long, short = random.normal(14.6, 1.2, count), random.uniform(1.3, 14, count)
    return np.clip(np.where(random.random(count) < 0.72, long, short), 1.3, 17)


def batches(plan: BatchPlan, epoch: int) -> list[list[list[list[int]]]]:
    """[window][micro][rank] -> cuts."""
    e = plan.epoch(epoch)
    return [
        [[e.batch(w, m, r).tolist() for r in range(plan.ranks)] for m in range(plan.accumulate)] for w in range(len(e))
    ]


def flat(windows: list[list[list[list[int]]]]) -> list[list[int]]:
    return [batch for window in windows for micro in window for batch in micro]


def waste(seconds: np.ndarray, planned: list[list[int]]) -> float:
    padded = sum(seconds[b].max() * len(b) for b in planned)
    return 1 - sum(seconds[b].sum() for b in planned) / padded


@pytest.mark.parametrize(("max_seconds", "ranks", "accumulate"), [(87.5, 1, 1), (87.5, 8, 4), (1400, 1, 1)])
def test_little_padding_and_full_batches(max_seconds: float, ranks: int, accumulate: int):
    seconds = durations(40000)
    planned = flat(batches(BatchPlan(seconds, max_seconds, ranks=ranks, accumulate=accumulate), 0))
    assert waste(seconds, planned) <= 0.015
    assert max(seconds[b].max() * len(b) for b in planned) <= max_seconds
    # a batch of 14 s utterances holds 6 of them, 84 s at best
    assert np.mean([seconds[b].sum() for b in planned]) > 0.85 * max_seconds


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 100, 1001])
@pytest.mark.parametrize(("ranks", "accumulate"), [(1, 1), (3, 1), (2, 4)])
def test_every_cut_comes_and_every_rank_has_as_many_batches(count: int, ranks: int, accumulate: int):
    plan = BatchPlan(durations(count, count), 60, ranks=ranks, accumulate=accumulate)
    group = ranks * accumulate
    for epoch in range(2):
        planned = flat(batches(plan, epoch))
        seen = np.bincount(np.concatenate(planned), minlength=count)
        assert len(planned) == plan.windows * group and all(planned)
        assert (seen > 0).all()
        assert seen.sum() - count < group  # borrowed, so that no rank is without a batch
        assert count < group or seen.max() <= 2


def test_all_ranks_have_like_lengths_at_the_same_time():
    seconds = durations(40000)
    longest = np.array(
        [[seconds[b].max() for b in micro] for w in batches(BatchPlan(seconds, 87.5, ranks=8), 0) for micro in w]
    )
    assert np.mean(longest.max(1) - longest.min(1)) < 0.3


def test_one_rank_that_accumulates_sees_what_several_ranks_see():
    seconds = durations(500)
    several, one = (batches(BatchPlan(seconds, 60, "k", 3, *shape), 2) for shape in ((4, 1), (1, 4)))
    assert [[b for micro in w for b in micro] for w in several] == [[b for micro in w for b in micro] for w in one]


def test_plan_is_a_pure_function_of_its_arguments():
    seconds = durations(300)
    plan = BatchPlan(seconds, 60, "k", seed=1)
    here = batches(plan, 5)
    plan.epoch(0)
    assert batches(plan, 5) == here == batches(BatchPlan(seconds, 60, "k", seed=1), 5)
    others = [BatchPlan(seconds, 60, "k", seed=2), BatchPlan(seconds, 60, "other", seed=1)]
    assert all(sorted(flat(batches(o, 5))) != sorted(flat(here)) for o in others)
    assert plan.name == BatchPlan(seconds, 60, "k", seed=1).name
    assert len({plan.name, *(o.name for o in others), BatchPlan(seconds, 50, "k", seed=1).name}) == 4


@pytest.mark.parametrize(
    ("count", "seed", "shape", "name", "content"),
    [
        (5000, 0, {}, "3fab6205b5137f1c", "cfdacb4bdf5424c6"),
        (20000, 1, {"ranks": 4, "accumulate": 2}, "7d1865fb4ee45099", "787c355afd226ec4"),
        (700, 2, {"rows": np.arange(0, 700, 3), "buckets": 7}, "40c486f9929b8f29", "33fa30f7d9656cac"),
        (5, 3, {"ranks": 8}, "7463e3d75c68bd6a", "9dc3422aa13fb57a"),
    ],
)
def test_plans_of_runs_under_way_do_not_change(count: int, seed: int, shape: dict[str, Any], name: str, content: str):
    """Recorded with version 0.1: a plan that changes makes every checkpoint in the middle of an epoch inexact."""
    seconds = np.round(np.random.default_rng(seed).uniform(1.3, 17, count), 2)
    plan, digest = BatchPlan(seconds, 87.5, "k", seed, **shape), hashlib.sha256()
    for epoch in (plan.epoch(0), plan.epoch(3)):
        for at in itertools.product(range(len(epoch)), range(plan.accumulate), range(plan.ranks)):
            for rows in (epoch.batch(*at), epoch.spares(*at)):
                digest.update(rows.astype(np.int64).tobytes() + b"|")
    assert (plan.name, digest.hexdigest()[:16]) == (name, content)


def test_epochs_differ_in_company_and_order_but_not_in_length():
    seconds = np.full(200, 15.625)  # all cropped: only ties
    plan = BatchPlan(seconds, 87.5)
    first, second = flat(batches(plan, 0)), flat(batches(plan, 1))
    assert len(first) == len(second) == plan.windows == 40
    pairs = [{frozenset(p) for b in e for p in itertools.pairwise(b)} for e in (first, second)]
    assert len(pairs[0] & pairs[1]) < 20
    assert np.corrcoef([b[0] for b in first], range(40))[0, 1] < 0.5


def test_rows_are_the_only_cuts_used():
    rows = np.arange(0, 100, 3)
    assert sorted(np.concatenate(flat(batches(BatchPlan(durations(100), 60, rows=rows), 0)))) == rows.tolist()


def test_spares_are_other_cuts_of_like_length():
    seconds = durations(2000)
    epoch = BatchPlan(seconds, 60, ranks=2).epoch(0)
    for window in (0, 1, len(epoch) - 1):
        batch, spares = epoch.batch(window, 0, 1), epoch.spares(window, 0, 1)
        assert len(spares) == 8 and not set(batch) & set(spares)
        assert abs(seconds[spares].mean() - seconds[batch].mean()) < 2


def test_a_million_cuts_are_planned_in_seconds():
    seconds = durations(1_000_000)
    start = time.process_time()
    BatchPlan(seconds, 87.5, ranks=32).epoch(7)
    assert time.process_time() - start < 10


def test_mistakes():
    with pytest.raises(UserError, match=r"2 cuts are longer than max_seconds = 10 .*the longest: 12.0 s"):
        BatchPlan(np.array([1.0, 11, 12]), 10)
    with pytest.raises(UserError, match="no cut is left"):
        BatchPlan(np.array([]), 10)


@pytest.mark.parametrize("count", [1, 5, 64, 1000])
@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_evaluation_sees_every_cut_exactly_once(count: int, ranks: int):
    seconds = durations(count, count)
    planned = evaluation_batches(seconds, 60, ranks)
    everything = np.concatenate([b for rank in planned for b in rank])
    assert sorted(everything.tolist()) == list(range(count))
    assert all(seconds[b].max() * len(b) <= 60 for rank in planned for b in rank)
    lengths = {len(rank) for rank in planned}
    assert len(lengths) == 1 if count >= 2 * ranks else max(lengths) - min(lengths) <= 1


def test_evaluation_keeps_cuts_longer_than_a_batch():
    assert [b.tolist() for b in evaluation_batches(np.array([5.0, 99, 5]), 10)[0]] == [[1], [0, 2]]
