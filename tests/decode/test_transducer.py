"""TransducerGreedy and TransducerBeam: one path by hand, sums over all paths, and the same in every batch."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch
from torch import Tensor

from speechunits.decode.fusion import Fusion
from speechunits.decode.transducer_beam import TransducerBeam
from speechunits.decode.transducer_greedy import TransducerGreedy
from speechunits.errors import UserError
from speechunits.seq import Seq
from tests.decode.letters import letter_model
from tests.decode.scored import HOP, Scores, Text, batch, chances, ranked
from tests.decode.spoken import Transducer

KINDS = 2
HEADS = {"transducer": Transducer(KINDS + 1, KINDS)}


def heard(*rows: Tensor) -> dict[str, Seq]:
    return {"transducer": batch(*rows)}


def texts(row: Tensor, max_symbols: int | None) -> dict[Text, float]:
    """Log-probability of every text: forward variables over (frame, symbols said), symbols one by one."""
    head, found = HEADS["transducer"], {}
    for n in range(len(row) * (max_symbols or 1) + 1):
        for text in itertools.product(range(KINDS), repeat=n):
            scores, state = [], head.begin(1, torch.device("cpu"))
            for last in (KINDS, *text):
                out, state = head.advance(state, torch.tensor([last]))
                scores.append(head.join(head.listen(row), out.expand(len(row), -1)).exp())
            at = [1.0] + [0.0] * n
            for t in range(len(row)):
                then = [0.0] * (n + 1)
                for u, k in itertools.product(range(n + 1), range((max_symbols or 1) + 1)):
                    if u + k <= n:
                        chance = at[u] * math.prod(float(scores[u + i][t, text[u + i]]) for i in range(k))
                        ends = float(scores[u + k][t, KINDS]) if max_symbols or not k else 1.0
                        then[u + k] += chance * ends
                at = then
            if at[n] > 0:
                found[text] = math.log(at[n])
    return found


@pytest.mark.parametrize("max_symbols", [None, 1, 2])
def test_with_a_wide_beam_it_is_the_sum_over_all_paths(max_symbols: int | None) -> None:
    rows = [chances(seed, n, KINDS + 1) for seed, n in enumerate((3, 1, 2))]
    found = TransducerBeam(beam=128, nbest=8, max_symbols=max_symbols)(HEADS, heard(*rows))
    for each, row in zip(found, rows, strict=True):
        expected = texts(row, max_symbols)
        assert [tuple(h.ids.tolist()) for h in each] == ranked(expected)[:8]
        assert [h.score for h in each] == pytest.approx(sorted(expected.values(), reverse=True)[:8], abs=1e-11)


@pytest.mark.parametrize("max_symbols", [None, 2])
def test_a_language_model_weighs_in(max_symbols: int | None) -> None:
    row, lm = chances(7, 3, KINDS + 1), letter_model("ab", ["aab", "b", "ab"], 3)
    expected = {}
    for text, value in texts(row, max_symbols).items():
        state, total = torch.tensor(lm.begin), value
        for symbol in (*text, KINDS):
            nats, after = lm.score(state, torch.tensor([symbol]))
            total, state = total + 0.6 * float(nats) + 0.2 * (symbol != KINDS), after[0]
        expected[text] = total
    search = TransducerBeam(128, 5, max_symbols, Fusion(lm, 0.6, 0.2))
    (found,) = search(HEADS, heard(row))
    assert [tuple(h.ids.tolist()) for h in found] == ranked(expected)[:5]
    assert [h.score for h in found] == pytest.approx(sorted(expected.values(), reverse=True)[:5], abs=1e-5)


def one_by_one(row: Tensor, max_symbols: int) -> tuple[list[int], list[int], float]:
    """Greedy search as it is written: frame by frame, symbol by symbol."""
    head, ids, frames, score = HEADS["transducer"], [], [], 0.0
    out, state = head.advance(head.begin(1, torch.device("cpu")), torch.tensor([KINDS]))
    for t in range(len(row)):
        for n in itertools.count():
            scores = head.join(head.listen(row[t][None]), out)[0]
            best = int(scores.argmax()) if n < max_symbols else KINDS
            score += float(scores[best])
            if best == KINDS:
                break
            ids.append(best)
            frames.append(t)
            out, state = head.advance(state, torch.tensor([best]))
    return ids, frames, score


@pytest.mark.parametrize("max_symbols", [1, 2, 5])
def test_greedy_is_the_loop_over_frames(max_symbols: int) -> None:
    rows = [chances(seed, 1 + seed % 9, KINDS + 1) for seed in range(20)]
    found = TransducerGreedy(max_symbols)(HEADS, heard(*rows))
    longest = 0
    for (each,), row in zip(found, rows, strict=True):
        ids, frames, score = one_by_one(row, max_symbols)
        assert each.ids.tolist() == ids and each.score == pytest.approx(score)
        assert each.spans is not None and each.spans.tolist() == [[t, t + 1] for t in frames]
        assert each.confidence is not None and bool((each.confidence > 1 / 3 - 1e-6).all())
        longest = max(longest, len(ids))
    assert longest > 3, "the test says something"


@pytest.mark.parametrize("search", [TransducerGreedy(), TransducerBeam(3, 2), TransducerBeam(3, 2, 2)])
def test_batches_change_nothing(search: torch.nn.Module) -> None:
    rows = [chances(seed, 1 + 4 * (seed % 4), KINDS + 1) for seed in range(12)]
    alone = [search(HEADS, heard(row))[0] for row in rows]
    for seed in range(3):
        order = random.Random(seed).sample(range(12), 12)
        for part in (order[:5], order[5:]):
            for i, each in zip(part, search(HEADS, heard(*(rows[i] for i in part))), strict=True):
                assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone[i]]
                assert [h.score for h in each] == pytest.approx([h.score for h in alone[i]], abs=1e-12)
                assert [h.spans.tolist() for h in each] == [h.spans.tolist() for h in alone[i]]


@pytest.mark.parametrize("search", [TransducerGreedy(), TransducerBeam(), TransducerBeam(max_symbols=3)])
def test_nothing_heard_is_an_empty_text(search: torch.nn.Module) -> None:
    x = Seq(torch.zeros(2, 3, KINDS + 1, dtype=torch.float64), torch.tensor([0, 3]), HOP)
    found = search(HEADS, {"transducer": x})
    assert found[0][0].ids.tolist() == [] and found[0][0].score == 0.0
    none = Seq(torch.zeros(1, 0, KINDS + 1, dtype=torch.float64), torch.tensor([0]), HOP)
    assert search(HEADS, {"transducer": none})[0][0].ids.tolist() == []


@pytest.mark.parametrize("search", [TransducerGreedy(), TransducerBeam()])
def test_other_heads_are_refused(search: torch.nn.Module) -> None:
    with pytest.raises(UserError, match="no transducer among ctc"):
        search({"ctc": Scores()}, {})
