from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import Tensor

from speechunits.metrics import abx_distance
from speechunits.metrics.abx_items import AbxItems
from speechunits.metrics.abx_score import abx, sample


def plain_dtw(left: Tensor, right: Tensor) -> float:
    """Textbook recursion on (cost, path length), the diagonal first and the left next among equals."""
    table: dict[tuple[int, int], tuple[float, int]] = {}
    for i, j in itertools.product(range(len(left)), range(len(right))):
        if left.is_floating_point():
            cosine = float(left[i] @ right[j] / (left[i].norm() * right[j].norm()))
            d = math.acos(max(-1.0, min(1.0, cosine))) / math.pi
        else:
            d = float(left[i] != right[j])
        ways = [table[w] for w in ((i - 1, j - 1), (i, j - 1), (i - 1, j)) if w in table]
        cost, steps = min(ways, key=lambda w: w[0]) if ways else (0.0, 0)
        table[i, j] = (cost + d, steps + 1)
    cost, steps = table[len(left) - 1, len(right) - 1]
    return cost / steps


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def brute_force(items: AbxItems, features: list[Tensor], across: bool) -> float:
    """Every triple, one by one, then the means in Libri-Light's order."""
    everyone = range(len(items))
    segment = [features[u][s:e] for u, s, e in zip(items.utterance, items.start, items.end, strict=True)]
    alike = np.equal.outer(items.context, items.context)
    distance = {(i, j): plain_dtw(segment[i], segment[j]) for i in everyone for j in everyone if alike[i, j]}
    cells: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for a, b, x in itertools.product(everyone, everyone, everyone):
        one_context = items.context[a] == items.context[b] == items.context[x]
        phones = items.phone[a] == items.phone[x] != items.phone[b]
        speakers = items.speaker[a] == items.speaker[b] and (items.speaker[x] != items.speaker[a]) == across
        if a != x and one_context and phones and speakers:
            key = (items.phone[a], items.phone[b], items.speaker[a], items.context[a], items.speaker[x])
            gap = distance[x, a] - distance[x, b]
            cells[key].append(0.5 if gap == 0 else float(gap > 0))
    by_speaker: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for key, wrong in cells.items():
        by_speaker[key[:3]].append(mean(wrong))
    by_pair: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for key, wrong in by_speaker.items():
        by_pair[key[:2]].append(mean(wrong))
    return mean([mean(wrong) for wrong in by_pair.values()])


def corpus(discrete: bool, n: int = 45, seed: int = 0) -> tuple[AbxItems, list[Tensor]]:
    """Random segments of 3 phones, 2 contexts, 3 speakers in 4 utterances, uneven on purpose."""
    rng = np.random.default_rng(seed)
    features = [torch.tensor(rng.normal(size=(40, 5))) for _ in range(4)]
    start, size = rng.integers(0, 34, n), rng.integers(1, 6, n)
    utterance, phone = rng.integers(0, 4, n), rng.choice(3, n, p=[0.5, 0.3, 0.2])
    items = AbxItems(utterance, start, start + size, phone, rng.integers(0, 2, n), rng.integers(0, 3, n))
    for i in range(n):  # something to discriminate
        features[utterance[i]][start[i] : start[i] + size[i], phone[i]] += 0.7
    return items, [(x[:, :3].argmax(1) if discrete else x) for x in features]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("discrete", [False, True])
def test_against_brute_force(discrete: bool, across: bool) -> None:
    items, features = corpus(discrete)
    score = abx(items, features, across, max_size_group=99)
    assert score.error == pytest.approx(brute_force(items, features, across), abs=1e-6 if discrete else 1e-12)
    assert 0.1 < score.error < 0.5
    assert score.kept == 1


def test_many_batches_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    items, features = corpus(False)
    whole = abx(items, features, True)
    monkeypatch.setattr(abx_distance, "CELLS_AT_ONCE", 600)
    assert abx(items, features, True) == whole


def test_caps_are_seeded_and_reported() -> None:
    items, features = corpus(False, n=200)
    first = abx(items, features, True, max_size_group=4, max_x_across=1, max_pairs=300, seed=5)
    assert first == abx(items, features, True, max_size_group=4, max_x_across=1, max_pairs=300, seed=5)
    assert first != abx(items, features, True, max_size_group=4, max_x_across=1, max_pairs=300, seed=6)
    assert 0 < first.kept < 1
    one = abx(items, features, True, max_size_group=4, max_x_across=1)
    two = abx(items, features, True, max_size_group=4, max_x_across=2)
    assert (one.cells, two.cells) == (36, 72)  # 2 contexts, 3 speakers, 6 pairs of phones, 1 or 2 speakers of X
    small = sample(items, 4, np.random.default_rng(0))
    groups = np.unique(np.stack([small.context, small.speaker, small.phone]), axis=1, return_counts=True)[1]
    assert groups.max() == 4
    assert abx(small, features, False, max_size_group=4).error == pytest.approx(brute_force(small, features, False))


def test_perfect_and_chance() -> None:
    items, _ = corpus(True)
    same = [torch.zeros(40, dtype=torch.long)] * 4
    assert abx(items, same, False).error == 0.5
    own = [torch.full((40,), p) for p in range(3)]
    apart = AbxItems(items.phone, items.start, items.end, items.phone, items.context, items.speaker)
    assert abx(apart, own, True).error == 0


def test_no_triple_is_nan() -> None:
    items, features = corpus(False)
    one_phone = items.take(np.flatnonzero(items.phone == 0))
    one_voice = items.take(np.flatnonzero(items.speaker == 0))
    nothing = items.take(np.zeros(0, np.int64))
    for some, across in ((one_phone, False), (one_voice, True), (nothing, False)):
        score = abx(some, features, across)
        assert math.isnan(score.error)
        assert score.cells == 0


def test_null_vectors_are_far_from_all_but_each_other() -> None:
    frames = abx_distance.prepare(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    got = abx_distance.frame_distance(frames, frames)
    want = torch.tensor([[0.0, 1, 1, 0], [1, 0, 0.5, 1], [1, 0.5, 0, 1], [0, 1, 1, 0]])
    assert torch.allclose(got, want, atol=1e-6)


def test_several_codebooks_differ_by_share() -> None:
    got = abx_distance.frame_distance(torch.tensor([[1, 2], [1, 3]]), torch.tensor([[1, 2]]))
    assert got.tolist() == [[0.0], [0.5]]
