"""CTCBeam: texts and scores of all paths, pruning, fusion, frames and sureness, whatever stands beside in the batch."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import pytest
import torch
from torch import Tensor

from speechunits.decode.ctc_beam import CTCBeam, together
from speechunits.decode.fusion import Fusion
from speechunits.decode.greedy import Greedy
from speechunits.errors import UserError
from speechunits.seq import Seq
from tests.decode.letters import letter_model
from tests.decode.scored import HOP, Scores, Text, batch, chances, ctc_texts, ranked

HEADS = {"ctc": Scores()}


@pytest.mark.parametrize("seed", range(6))
def test_with_a_wide_beam_it_is_the_sum_over_all_paths(seed: int) -> None:
    rows = [chances(seed, n, 4) for n in (5, 3, 1)]
    found = CTCBeam(beam=400, nbest=400)(HEADS, {"ctc": batch(*rows)})
    for each, row in zip(found, rows, strict=True):
        expected = ctc_texts(row)
        assert [tuple(h.ids.tolist()) for h in each] == ranked(expected)
        assert [h.score for h in each] == pytest.approx([expected[tuple(h.ids.tolist())] for h in each], abs=1e-12)


@pytest.mark.parametrize("beam", [1, 2, 3, 8])
def test_a_narrow_beam_is_the_loop_over_prefixes(beam: int) -> None:
    rows = [chances(seed, 20, 4) for seed in range(10)]
    found = CTCBeam(beam=beam, nbest=beam)(HEADS, {"ctc": batch(*rows)})
    for each, row in zip(found, rows, strict=True):
        expected = prefix_by_prefix(row, beam)
        assert [tuple(h.ids.tolist()) for h in each] == list(expected)
        assert [h.score for h in each] == pytest.approx(list(expected.values()), abs=1e-11)


def prefix_by_prefix(x: Tensor, beam: int) -> dict[Text, float]:
    """Hannun et al. 2014, algorithm 1: probabilities in dictionaries, (with a blank at the end, with a symbol)."""
    kept: dict[Text, tuple[float, float]] = {(): (1.0, 0.0)}
    for row in x.exp().tolist():
        grown: dict[Text, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for text, (with_blank, with_symbol) in kept.items():
            grown[text][0] += (with_blank + with_symbol) * row[-1]
            for symbol, chance in enumerate(row[:-1]):
                if text and symbol == text[-1]:
                    grown[text][1] += with_symbol * chance
                    grown[*text, symbol][1] += with_blank * chance
                else:
                    grown[*text, symbol][1] += (with_blank + with_symbol) * chance
        kept = dict(sorted(((k, (a, b)) for k, (a, b) in grown.items() if a + b), key=lambda kv: -sum(kv[1]))[:beam])
    return {text: math.log(a + b) for text, (a, b) in kept.items()}


def test_a_sum_beats_the_best_path() -> None:
    """Graves 2012: the best path says nothing, and most paths say something."""
    x = torch.tensor([[0.4, 0.6], [0.4, 0.6]]).double().log()
    ((found,),) = CTCBeam()(HEADS, {"ctc": batch(x)})
    assert Greedy()(HEADS, {"ctc": batch(x)})[0][0].ids.tolist() == []
    assert found.ids.tolist() == [0] and math.exp(found.score) == pytest.approx(1 - 0.36)


@pytest.mark.parametrize("narrow", [{"symbols": 2}, {"threshold": 0.1}])
def test_pruned_symbols_are_not_tried(narrow: dict[str, float]) -> None:
    x = chances(3, 5, 4)
    pruned = x.clone()
    if "symbols" in narrow:
        pruned[:, :3][x[:, :3] < x[:, :3].topk(2).values[:, -1:]] = -torch.inf
    else:
        pruned[:, :3][x[:, :3].exp() < 0.1] = -torch.inf
    # A pruned symbol still prolongs a prefix that ends with it: nothing has to be searched for that.
    texts, all_texts = ctc_texts(pruned), ctc_texts(x)
    found = CTCBeam(beam=400, nbest=400, **narrow)(HEADS, {"ctc": batch(x)})[0]
    said = {tuple(h.ids.tolist()): h.score for h in found}
    assert said.keys() == texts.keys() < all_texts.keys()
    assert all(texts[text] - 1e-9 <= score <= all_texts[text] + 1e-9 for text, score in said.items())


def test_frames_of_blanks_join_without_joining_symbols() -> None:
    """a - a stays two symbols, and scores stay what they are without the texts that speak in such frames."""
    a, blank, sure = [0.9, 0.05, 0.05], [0.1, 0.1, 0.8], [0.005, 0.005, 0.99]
    x = torch.tensor([sure, a, sure, sure, sure, a, blank, sure, sure], dtype=torch.float64).log()
    steps, certain = together(batch(x, x[:2]), 0.95)
    assert steps.lengths.tolist() == [6, 2] and certain.exp().tolist() == pytest.approx([0.99**6, 0.99])
    assert steps.data[0, 2].exp().tolist() == [0, 0, 1]
    assert steps.data[0, 4].equal(x[6]) and steps.data[1, 1].equal(x[1])
    whole, joined = (
        {tuple(h.ids.tolist()): h.score for h in CTCBeam(100, 100, blank_threshold=p)(HEADS, {"ctc": batch(x)})[0]}
        for p in (1.0, 0.95)
    )
    assert max(joined, key=lambda k: joined[k]) == (0, 0) == max(whole, key=lambda k: whole[k])
    assert all(joined[text] <= whole[text] + 1e-12 for text in joined)
    assert joined[0, 0] == pytest.approx(whole[0, 0], abs=0.1)


def test_a_language_model_weighs_in() -> None:
    lm, rows = letter_model("abc", ["abca", "bca", "ab", "cc"], 3), [chances(seed, 5, 4) for seed in range(3)]
    fusion = Fusion(lm, weight=0.7, bonus=0.3)
    found = CTCBeam(beam=400, nbest=400, fusion=fusion)(HEADS, {"ctc": batch(*rows)})
    for each, row in zip(found, rows, strict=True):
        expected = {}
        for text, value in ctc_texts(row).items():
            state, total = torch.tensor(lm.begin), value
            for symbol in (*text, 3):
                nats, after = lm.score(state, torch.tensor([symbol]))
                total, state = total + 0.7 * float(nats) + 0.3 * (symbol != 3), after[0]
            expected[text] = total
        assert [tuple(h.ids.tolist()) for h in each] == ranked(expected)
        assert [h.score for h in each] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-5)


def test_spans_and_confidence_are_those_of_the_best_path() -> None:
    path = torch.tensor([3, 0, 0, 3, 0, 1, 1, 3])
    x = torch.full((8, 4), 0.05, dtype=torch.float64)
    x[torch.arange(8), path] = 0.85
    ((found,),) = CTCBeam()(HEADS, {"ctc": batch(x.log())})
    assert found.ids.tolist() == [0, 0, 1] and found.spans is not None and found.confidence is not None
    assert found.spans.tolist() == [[1, 3], [4, 5], [5, 7]] and found.confidence.tolist() == pytest.approx([0.85] * 3)


def test_batches_change_nothing() -> None:
    rows = [chances(seed, 1 + 5 * (seed % 4), 6) for seed in range(12)]
    search = CTCBeam(beam=4, nbest=2, fusion=Fusion(letter_model("abcde", ["abcde", "ace"], 2), 0.4))
    alone = [search(HEADS, {"ctc": batch(row)})[0] for row in rows]
    for seed in range(3):
        order = random.Random(seed).sample(range(12), 12)
        for part in (order[:5], order[5:]):
            for i, each in zip(part, search(HEADS, {"ctc": batch(*(rows[i] for i in part))}), strict=True):
                assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone[i]]
                assert [h.score for h in each] == [h.score for h in alone[i]]
                assert all(a.spans.equal(b.spans) for a, b in zip(each, alone[i], strict=True))


def test_equal_scores_keep_their_order() -> None:
    """Of prefixes, then of symbols: in three even frames each single symbol has six paths."""
    even = torch.full((3, 5), 0.2, dtype=torch.float64).log()
    three, two = ([h.ids.tolist() for h in each] for each in CTCBeam(6, 6)(HEADS, {"ctc": batch(even, even[:2])}))
    assert three == [[0], [1], [2], [3], [0, 1], [0, 2]] and two == [[0], [1], [2], [3], [], [0, 1]]


def test_nothing_heard_is_an_empty_text() -> None:
    x = Seq(torch.zeros(2, 3, 4).log_softmax(-1), torch.tensor([0, 3]), HOP)
    found = CTCBeam(nbest=3)(HEADS, {"ctc": x})[0]
    assert [(h.ids.tolist(), h.score) for h in found] == [([], 0.0)]
    none = Seq(torch.zeros(1, 0, 4), torch.tensor([0]), HOP)
    assert CTCBeam()(HEADS, {"ctc": none})[0][0].ids.tolist() == []


def test_a_language_model_of_other_symbols_is_refused() -> None:
    with pytest.raises(UserError, match="the language model has 2 symbols and the head 3"):
        CTCBeam(fusion=Fusion(letter_model("ab", ["ab"], 2)))(HEADS, {"ctc": batch(chances(0, 2, 4))})
