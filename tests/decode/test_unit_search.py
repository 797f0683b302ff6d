"""UnitSearch: the best of all texts, greedy with a beam of 1, the same in every batch, with kept keys and without."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.decode.guard import Guard
from speechunits.decode.unit_search import UnitSearch
from speechunits.errors import UserError
from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.seq import Seq, pad
from tests.decode.scored import Text, batch, chances, ranked
from tests.decode.spoken import Decoder

KINDS = 3
HEAD = Decoder(KINDS + 1, KINDS)
ROWS = [chances(seed, n, KINDS + 1) for seed, n in enumerate((4, 2, 3, 1))]


def limits(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs)


def score(head: nn.Module, row: Tensor, text: Text) -> float:
    """Log-probability of a text with its end, from its beginning."""
    state, last, total = head.begin(batch(row)), KINDS, 0.0
    for symbol in (*text, KINDS):
        scores, state = head.step(state, torch.tensor([last]))
        total, last = total + float(scores[0, symbol]), symbol
    return total


def texts(row: Tensor, fewest: int, most: int, guard: Guard, penalty: float) -> dict[Text, float]:
    """All that the guard lets through, by score over length."""
    found = {}
    for n in range(fewest, most + 1):
        for text in itertools.product(range(KINDS), repeat=n):
            said = [torch.tensor([text[:i]], dtype=torch.int64).view(1, i) for i in range(n)]
            free = [guard(torch.zeros(1, KINDS + 1), s, limits((0, 99)))[0] for s in said]
            if all(float(f[symbol]) == 0 for f, symbol in zip(free, text, strict=True)):
                found[text] = score(HEAD, row, text) / ((5 + n + 1) / 6) ** penalty
    return found


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("guard", [Guard(), Guard(runs=1, once=3)], ids=["free", "guarded"])
def test_with_a_wide_beam_it_is_the_best_of_all_texts(penalty: float, guard: Guard) -> None:
    bounds = [(0, 4), (2, 4), (1, 3), (0, 0)]
    search = UnitSearch(beam=130, nbest=5, length_penalty=penalty, guard=guard)
    found = search(HEAD, batch(*ROWS), limits(*bounds))
    for each, row, (fewest, most) in zip(found, ROWS, bounds, strict=True):
        expected = texts(row, fewest, most, guard, penalty)
        assert [tuple(h.ids.tolist()) for h in each] == ranked(expected)[:5]
        assert [h.score for h in each] == pytest.approx(sorted(expected.values())[:-6:-1], abs=1e-11)


def test_a_beam_of_one_takes_the_likeliest_each_time() -> None:
    found = UnitSearch()(HEAD, batch(*ROWS), limits(*[(0, 12)] * 4))
    for (each,), row in zip(found, ROWS, strict=True):
        state, last, text = HEAD.begin(batch(row)), KINDS, []
        while len(text) < 12:
            scores, state = HEAD.step(state, torch.tensor([last]))
            last = int(scores.argmax())
            if last == KINDS:
                break
            text.append(last)
        assert each.ids.tolist() == text and each.score == pytest.approx(score(HEAD, row, tuple(text)), abs=1e-11)


@pytest.mark.parametrize("beam", [1, 4])
def test_an_utterance_is_read_as_alone(beam: int) -> None:
    search, bounds = (
        UnitSearch(beam, nbest=3, length_penalty=1.0, guard=Guard(runs=1)),
        [(0, 9), (3, 5), (1, 20), (0, 7)],
    )
    together = search(HEAD, batch(*ROWS), limits(*bounds))
    for each, row, bound in zip(together, ROWS, bounds, strict=True):
        (alone,) = search(HEAD, batch(row), limits(bound))
        assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone]
        assert [h.score for h in each] == pytest.approx([h.score for h in alone], abs=1e-11)


def attention() -> AttentionDecoder:
    torch.manual_seed(0)
    node = {"_target_": "speechunits.heads.attention_decoder.AttentionDecoder", "depth": 2, "ffn": 16, "heads": 2}
    made: AttentionDecoder = build(node, dim=8, vocab=(5,)).double().eval()
    for p in made.parameters():
        p.data *= 2
    return made


def test_kept_keys_change_nothing() -> None:
    """What the search adds up symbol by symbol is what the head gives of whole texts."""
    head, x = attention(), pad([torch.randn(n, 8, dtype=torch.float64) for n in (7, 3)], None)
    found = UnitSearch(beam=4, nbest=4, guard=Guard(runs=1))(head, x, limits((0, 9), (2, 6)))
    for b, each in enumerate(found):
        ids = pad([h.ids for h in each], None)
        heard = Seq(x.data[b : b + 1].expand(len(each), -1, -1), x.lengths[b : b + 1].expand(len(each)), None)
        torch.testing.assert_close(torch.tensor([h.score for h in each]).double(), head.score(heard, ids))


def test_loops_of_a_model_that_repeats_itself_are_cut() -> None:
    class Stuck(nn.Module):
        """Says 0 1 0 1 for ever."""

        vocab = (KINDS,)

        def begin(self, x: Seq) -> Stuck:
            return self

        def take(self, rows: Tensor) -> Stuck:
            return self

        def step(self, state: Stuck, last: Tensor) -> tuple[Tensor, Stuck]:
            likes = torch.where(last == 0, 1, 0)
            return (4.0 * nn.functional.one_hot(likes, KINDS + 1).double()).log_softmax(-1), self

    row = batch(ROWS[0])
    assert UnitSearch()(Stuck(), row, limits((0, 30)))[0][0].ids.tolist() == [0, 1] * 15
    said = UnitSearch(guard=Guard(loops=2))(Stuck(), row, limits((0, 30)))[0][0].ids.tolist()
    assert said[:4] == [0, 1, 0, 1] and all(said[i : i + 6] != [0, 1] * 3 for i in range(25))


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="beam is 0"):
        UnitSearch(beam=0)
    with pytest.raises(ValueError, match="length_penalty is -1"):
        UnitSearch(length_penalty=-1.0)
    head = attention()
    head.linear.bias.data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"decode.UnitSearch: scores of head 'decoder' are no numbers"):
        UnitSearch()(head, pad([torch.randn(4, 8, dtype=torch.float64)], None), limits((0, 5)))
