"""Pieces drawn at random, against every segmentation written out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from speechunits.text.resegment import merge, sample

SCORES = {"a": -2.0, "b": -2.5, "c": -3.0, "ab": -2.2, "bc": -3.1, "abc": -4.0, "ca": -6.0}
DRAWS = 4000


def segmentations(word: str) -> Iterator[tuple[str, ...]]:
    if not word:
        yield ()
    for n in range(1, len(word) + 1):
        if word[:n] in SCORES:
            yield from ((word[:n], *rest) for rest in segmentations(word[n:]))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("word", ["abc", "abcab", "cabc"])
def test_a_unigram_model_draws_by_probability(word: str, alpha: float) -> None:
    """Kudo 2018, section 3.3: P(x)^alpha over the sum of all of them."""
    weights = {x: math.exp(alpha * sum(SCORES[p] for p in x)) for x in segmentations(word)}
    generator = np.random.default_rng(0)
    found = Counter(tuple(sample(word, SCORES, alpha, generator)) for _ in range(DRAWS))
    assert found.keys() <= weights.keys()
    for x, weight in weights.items():
        p = weight / sum(weights.values())
        assert found[x] / DRAWS == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / DRAWS) + 1e-9), x


def test_bpe_leaves_out_merges() -> None:
    """By hand, each pair asked once: ab is first in turn, else bc; what was made is asked once more with the third letter."""
    scores, p = {"a": -9.0, "b": -9.0, "c": -9.0, "ab": -1.0, "bc": -2.0, "abc": -3.0}, 0.4
    first = {("ab", "c"): 1 - p, ("a", "bc"): p * (1 - p)}
    want = {("abc",): sum(first.values()) * (1 - p), ("a", "b", "c"): p * p}
    want |= {("ab", "c"): first["ab", "c"] * p, ("a", "bc"): first["a", "bc"] * p}
    generator = np.random.default_rng(1)
    found = Counter(tuple(merge("abc", scores, p, generator)) for _ in range(DRAWS))
    assert sum(want.values()) == pytest.approx(1) and found.keys() == want.keys()
    for x, chance in want.items():
        assert found[x] / DRAWS == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / DRAWS)), x


@pytest.mark.parametrize(
    "scores", [{"ab": -1.0, "ba": -2.0, "aba": -3.0, "abab": -4.0}, {"aa": -1.0, "aaa": -2.0, "aab": -3.0}]
)
def test_bpe_merges_the_best_pair_until_there_is_none(scores: dict[str, float]) -> None:
    """Against the same, looked up anew at every step."""
    draw = np.random.default_rng(3)
    for _ in range(200):
        text = "".join(draw.choice(list("ab"), size=draw.integers(0, 15)))
        parts = list(text)
        while pairs := [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in scores]:
            _, i = min(pairs)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        assert merge(text, scores, 0.0, draw) == parts, text


def test_the_ends_of_the_scale() -> None:
    generator = np.random.default_rng(2)
    assert merge("abca", SCORES, 1.0, generator) == list("abca") and merge("", SCORES, 0.0, generator) == []
    assert merge("abcab", SCORES, 0.0, generator) == ["abc", "ab"]
    assert sample("", SCORES, 1.0, generator) == []
