"""JointBeam: the best of all texts by both heads, when it stops, and the same in every batch."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch
from torch import Tensor, nn

from speechunits.decode.ctc_prefixes import CTCPrefixes
from speechunits.decode.fusion import Fusion
from speechunits.decode.joint_beam import JointBeam
from speechunits.errors import UserError
from speechunits.seq import Seq
from tests.decode.letters import letter_model
from tests.decode.scored import HOP, Scores, Text, batch, chances, ctc_texts, ranked
from tests.decode.spoken import Decoder

KINDS = 3
HEADS = {"ctc": Scores(), "attention": Decoder(KINDS + 1, KINDS)}


def heard(*rows: Tensor) -> dict[str, Seq]:
    """Both heads hear the same: log-probabilities of symbols."""
    return dict.fromkeys(HEADS, batch(*rows))


def attention_score(row: Tensor, text: Text) -> float:
    decoder = HEADS["attention"]
    state, last, total = decoder.begin(batch(row)), KINDS, 0.0
    for symbol in (*text, KINDS):
        scores, state = decoder.step(state, torch.tensor([last]))
        total, last = total + float(scores[0, symbol]), symbol
    return total


def texts(row: Tensor, weight: float) -> dict[Text, float]:
    """All texts of no more symbols than frames."""
    ctc, found = ctc_texts(row), {}
    for n in range(len(row) + 1):
        for text in itertools.product(range(KINDS), repeat=n):
            if text in ctc or not weight:
                both = (weight * ctc[text] if weight else 0.0, (1 - weight) * attention_score(row, text))
                found[text] = sum(both)
    return found


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.8])
def test_with_a_wide_beam_it_is_the_best_of_all_texts(weight: float) -> None:
    rows = [chances(seed, n, KINDS + 1) for seed, n in enumerate((4, 2, 3, 4))]
    found = JointBeam(beam=81, nbest=5, ctc_weight=weight)(HEADS, heard(*rows))
    for each, row in zip(found, rows, strict=True):
        expected = texts(row, weight)
        assert [tuple(h.ids.tolist()) for h in each] == ranked(expected)[:5]
        assert [h.score for h in each] == pytest.approx(sorted(expected.values())[:-6:-1], abs=1e-11)


def test_prefixes_fit_as_all_texts_that_begin_with_them() -> None:
    rows = [chances(seed, n, KINDS + 1, sharp=6.0) for seed, n in enumerate((5, 3, 4))]
    prefixes, said = CTCPrefixes(batch(*rows), 2), [[(), ()] for _ in rows]
    everything = [ctc_texts(row) for row in rows]
    for step in range(4):
        begins, whole = prefixes.next()
        for b, i in itertools.product(range(3), range(2)):
            assert float(whole[b, i].exp()) == pytest.approx(sum_of(everything[b], said[b][i], exact=True), rel=1e-9)
            for symbol in range(KINDS):
                expected = sum_of(everything[b], (*said[b][i], symbol))
                assert float(begins[b, i, symbol].exp()) == pytest.approx(expected, rel=1e-9), (
                    step,
                    said[b][i],
                    symbol,
                )
        rows_, symbols = torch.tensor([[1, 0], [0, 0], [1, 1]]), torch.tensor([[0, 0], [1, 2], [step % 3, 2]])
        prefixes.grow(rows_, symbols)
        said = [[(*said[b][int(rows_[b, i])], int(symbols[b, i])) for i in range(2)] for b in range(3)]


def sum_of(every: dict[Text, float], prefix: Text, exact: bool = False) -> float:
    n = len(prefix)
    return sum(math.exp(v) for t, v in every.items() if t[:n] == prefix and (len(t) == n or not exact))


def test_prefixes_of_long_utterances_do_not_run_out_of_numbers() -> None:
    """3000 frames, of which each symbol has one to itself and nearly nothing elsewhere, against a loop over frames."""
    x = torch.full((1, 3000, 3), -60.0, dtype=torch.float64)
    x[..., 2] = -1e-9
    said = [0, 1, 1, 0]
    for frame, symbol in zip((10, 900, 1500, 2990), said, strict=True):
        x[0, frame], x[0, frame, symbol] = -40.0, -0.1
    prefixes = CTCPrefixes(Seq(x, torch.tensor([3000]), HOP), 1)
    for symbol in said:
        prefixes.grow(torch.zeros(1, 1, dtype=torch.int64), torch.tensor([[symbol]]))
    targets = torch.tensor([said])
    loss = nn.functional.ctc_loss(x.transpose(0, 1), targets, (3000,), (4,), blank=2, reduction="sum")
    assert float(prefixes.next()[1]) == pytest.approx(-float(loss), abs=1e-7)


def test_a_bonus_lets_the_search_go_on() -> None:
    row = chances(5, 4, KINDS + 1)
    lm = letter_model("abc", ["abca", "bca", "ab"], 2)
    for bonus in (-1.0, 0.0, 1.5, 4.0):
        expected = {}
        for text, value in texts(row, 0.3).items():
            state, total = torch.tensor(lm.begin), value
            for symbol in (*text, KINDS):
                nats, after = lm.score(state, torch.tensor([symbol]))
                total, state = total + 0.5 * float(nats) + bonus * (symbol != KINDS), after[0]
            expected[text] = total
        found = JointBeam(81, 3, fusion=Fusion(lm, 0.5, bonus))(HEADS, heard(row))[0]
        assert [tuple(h.ids.tolist()) for h in found] == ranked(expected)[:3]
        assert [h.score for h in found] == pytest.approx(sorted(expected.values())[:-4:-1], abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_batches_change_nothing(weight: float) -> None:
    rows = [chances(seed, 1 + 4 * (seed % 4), KINDS + 1) for seed in range(12)]
    search = JointBeam(beam=3, nbest=2, ctc_weight=weight)
    alone = [search(HEADS, heard(row))[0] for row in rows]
    for seed in range(3):
        order = random.Random(seed).sample(range(12), 12)
        for part in (order[:5], order[5:]):
            for i, each in zip(part, search(HEADS, heard(*(rows[i] for i in part))), strict=True):
                assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone[i]]
                assert [h.score for h in each] == pytest.approx([h.score for h in alone[i]], abs=1e-12)


def test_spans_come_from_ctc_and_confidence_from_attention() -> None:
    row = chances(2, 6, KINDS + 1)
    ((found,),) = JointBeam()(HEADS, heard(row))
    assert len(found.ids) and found.spans is not None and found.confidence is not None
    assert bool((found.spans[1:, 0] >= found.spans[:-1, 1]).all()) and int(found.spans[-1, 1]) <= 6
    decoder = HEADS["attention"]
    scores, _ = decoder.step(decoder.begin(batch(row)), torch.tensor([KINDS]))
    assert float(found.confidence[0]) == pytest.approx(float(scores[0, found.ids[0]].exp()))
    ((alone,),) = JointBeam(ctc_weight=0.0)({"attention": decoder}, heard(row))
    assert alone.spans is None and alone.confidence is not None


def test_nothing_heard_is_an_empty_text() -> None:
    x = Seq(torch.zeros(2, 3, 4, dtype=torch.float64).log_softmax(-1), torch.tensor([0, 3]), HOP)
    assert JointBeam()(HEADS, dict.fromkeys(HEADS, x))[0][0].ids.tolist() == []
    none = Seq(torch.zeros(1, 0, 4, dtype=torch.float64), torch.tensor([0]), HOP)
    assert JointBeam()(HEADS, dict.fromkeys(HEADS, none))[0][0].ids.tolist() == []


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="no CTC head among attention; name another search, or set ctc_weight=0"):
        JointBeam()({"attention": HEADS["attention"]}, heard(chances(0, 2, 4)))
    with pytest.raises(UserError, match="no attention decoder among ctc"):
        JointBeam()({"ctc": HEADS["ctc"]}, heard(chances(0, 2, 4)))
    with pytest.raises(ValueError, match="ctc_weight: from 0 to below 1"):
        JointBeam(ctc_weight=1.0)
