"""UnitSampling: the model's own distribution, seeded by utterance."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from speechunits.decode.guard import Guard
from speechunits.decode.unit_sampling import UnitSampling
from speechunits.decode.unit_search import UnitSearch
from speechunits.draws import draws
from tests.decode.scored import batch
from tests.decode.test_unit_search import HEAD, KINDS, ROWS, limits, score, texts


def test_texts_come_as_often_as_they_are_likely() -> None:
    (found,) = UnitSampling(nbest=4000)(HEAD, batch(ROWS[0]), limits((0, 2)), draws(["a"]))
    counted = Counter(tuple(h.ids.tolist()) for h in found)
    expected = {}
    for text in texts(ROWS[0], 0, 2, Guard(), 0.0):  # of two symbols, the end comes by force
        state, last, total = HEAD.begin(batch(ROWS[0])), KINDS, 0.0
        for symbol in (*text, KINDS)[:2]:
            scores, state = HEAD.step(state, torch.tensor([last]))
            total, last = total + float(scores[0, symbol]), symbol
        expected[text] = 2.718281828459045**total
    assert sum(expected.values()) == pytest.approx(1)
    for text, share in expected.items():
        assert counted[text] / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5 + 1e-3)
    scores = [h.score for h in found]
    assert scores == sorted(scores, reverse=True)
    best = tuple(found[0].ids.tolist())
    assert scores[0] == pytest.approx(score(HEAD, ROWS[0], best) / (len(best) + 1))


def test_one_of_the_top_is_the_likeliest_and_so_is_no_warmth() -> None:
    bounds, ids = limits(*[(0, 12)] * 4), draws(list("abcd"))
    greedy = [each[0].ids.tolist() for each in UnitSearch()(HEAD, batch(*ROWS), bounds)]
    for search in (UnitSampling(top_k=1), UnitSampling(temperature=1e-4)):
        assert [each[0].ids.tolist() for each in search(HEAD, batch(*ROWS), bounds, ids)] == greedy
    top = UnitSampling(top_k=2, temperature=100.0, nbest=50)(HEAD, batch(ROWS[0]), limits((1, 1)), draws(["a"]))
    assert len({int(h.ids[0]) for h in top[0]}) == 2


def test_draws_are_those_of_the_utterance() -> None:
    search, bounds = UnitSampling(nbest=3, guard=Guard(runs=1)), [(0, 9), (3, 5), (1, 20), (0, 7)]
    together = search(HEAD, batch(*ROWS), limits(*bounds), draws(list("abcd"), seed=1))
    for each, row, bound, name in zip(together, ROWS, bounds, "abcd", strict=True):
        (alone,) = search(HEAD, batch(row), limits(bound), draws([name], seed=1))
        assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone]
    other = search(HEAD, batch(*ROWS), limits(*bounds), draws(list("abcd"), seed=2))
    assert [h.ids.tolist() for each in other for h in each] != [h.ids.tolist() for each in together for h in each]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"temperature is 0.0: above 0"):
        UnitSampling(temperature=0.0)
    with pytest.raises(ValueError, match="top_k is 0"):
        UnitSampling(top_k=0)
