"""words: which symbols make which word, when, and how surely."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.words import Word, spelled, words
from speechunits.text.characters import Characters
from speechunits.text.subwords import fit_subwords
from speechunits.text.words import Words

EDGES = torch.arange(0, 2.1, 0.25, dtype=torch.float64)


def test_characters_with_spaces() -> None:
    text = Characters(" abc")
    ids = text.encode("ab c")
    spans = torch.tensor([[0, 2], [2, 3], [3, 6], [6, 8]])
    found = words(Hypothesis(ids, 0.0, spans, torch.tensor([0.5, 0.75, 0.125, 0.25])), text.decode, EDGES)
    assert found == [Word("ab", 0.0, 0.75, 0.5), Word("c", 1.5, 2.0, 0.25)]


def pieces(ids: Tensor) -> str:
    """As sentencepiece decodes: a piece that begins a word begins with a space."""
    return "".join([" the", " c", "at", "s", " ", " on a"][i] for i in ids.tolist()).strip()


def test_subwords() -> None:
    ids = torch.tensor([0, 1, 2, 4, 3, 5])
    spans = torch.stack([torch.arange(6), torch.arange(1, 7)], -1)
    found = words(Hypothesis(ids, 0.0, spans, torch.linspace(1, 0.5, 6)), pieces, EDGES)
    assert [w.text for w in found] == ["the", "cat", "s", "on", "a"]
    assert [(w.start, w.end) for w in found] == [(0, 0.25), (0.25, 0.75), (1.0, 1.25), (1.25, 1.5), (1.25, 1.5)]


def all_at_once(ids: Tensor, decode: Callable[[Tensor], str]) -> list[tuple[str, list[int]]]:
    """Every beginning of the text, decoded as a whole."""
    of: list[list[int]] = []
    before: list[str] = []
    for i in range(len(ids)):
        now = decode(ids[: i + 1]).split()
        of = of[: len(now)] + [[] for _ in range(len(now) - len(of))]
        for k, word in enumerate(now):
            if before[k : k + 1] != [word]:
                of[k].append(i)
        before = now
    return list(zip(before, of, strict=True))


def joining(ids: Tensor) -> str:
    """Pieces that end one word and begin the next."""
    return "".join(["a", "b ", "c d", " ", "e f g", " h i "][i] for i in ids.tolist())


SUBWORDS = fit_subwords(["the cat sat on the mat", "a cat", "that hat"] * 3, "bpe", 20)
READERS = {"characters": (4, Characters(" abc").decode), "pieces": (6, pieces), "joining": (6, joining)}
READERS |= {"subwords": (SUBWORDS.stream.vocab[0], SUBWORDS.decode), "words": (3, Words(["x", "yy", "z"]).decode)}


@pytest.mark.parametrize("reader", READERS)
def test_words_are_those_of_the_whole_text(reader: str) -> None:
    kinds, decode = READERS[reader]
    for seed in range(20):
        ids = torch.randint(kinds, (40,), generator=torch.Generator().manual_seed(seed))
        assert spelled(ids, decode) == all_at_once(ids, decode)


def test_the_work_does_not_grow_with_the_text() -> None:
    text, lengths = Characters(" abc"), []

    def decode(ids: Tensor) -> str:
        lengths.append(len(ids))
        return text.decode(ids)

    assert len(spelled(text.encode("abc " * 100), decode)) == 100
    assert max(lengths) <= 12 and len(lengths) < 600


def test_words_of_a_lexicon_need_no_decoding() -> None:
    """As ``Lattice`` gives them: symbols 0 and 1 say "a", 3 says "b", 2 stands between."""
    spans = torch.tensor([[0, 1], [2, 3], [3, 4], [6, 8]])
    sure = torch.tensor([0.5, 0.75, 1.0, 0.25])
    found = Hypothesis(torch.arange(4), 0.0, spans, sure, (("a", 0, 2), ("b", 3, 4)))
    assert words(found, pieces, EDGES) == [Word("a", 0.0, 0.75, 0.5), Word("b", 1.5, 2.0, 0.25)]


def test_without_times_and_without_words() -> None:
    text = Characters(" ab")
    assert words(Hypothesis(text.encode("a b")), text.decode, EDGES) == [
        Word("a", None, None, None),
        Word("b", None, None, None),
    ]
    assert words(Hypothesis(torch.zeros(0, dtype=torch.int64)), text.decode, EDGES) == []
