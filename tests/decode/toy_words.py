"""A toy language: its ARPA file, lexicons of letters and of phones, and the brute force that every search is held to."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from speechunits.decode.backoff_model import BackoffModel, read_model
from speechunits.text.characters import Characters
from speechunits.text.lexicon import Lexicon, read_lexicon, spell
from speechunits.text.subwords import fit_subwords

LETTERS = Characters([" ", "a", "b"])
PHONES = Characters(["x", "y", "z", "_"])
PIECES = fit_subwords(["ab a b ba"] * 3, "bpe", 4)
ARPA = r"""
\data\
ngram 1=6
ngram 2=5
ngram 3=2

\1-grams:
-99	<s>	-0.3
-0.7	</s>
-0.6	a	-0.2
-0.9	ab	-0.25
-0.8	b	-0.1
-1.5	<unk>

\2-grams:
-0.4	<s>	a	-0.35
-0.5	a	b	-0.05
-0.3	b	</s>
-0.2	ab	a
-1.9	b	a	-0.4

\3-grams:
-0.15	<s>	a	b
-0.6	a	b	a

\end\
"""
# Two words that sound alike, one that begins another, one with two pronunciations.
SOUNDS = "a x\nab x y\nb y\nb z x\nab x\n"


def model(folder: Path, text: str = ARPA) -> BackoffModel:
    path = folder / "toy.arpa"
    path.write_text(text)
    return read_model(path)


def lexicons(folder: Path) -> dict[str, Lexicon]:
    path = folder / "sounds.txt"
    path.write_text(SOUNDS)
    marks = (PHONES.symbols, PHONES.fingerprint)
    return {
        "letters": spell(["a", "b", "ab"], LETTERS)[0],
        "pieces": spell(["a", "b", "ab"], PIECES)[0],
        "phones": read_lexicon(path, *marks),
        "silence": read_lexicon(path, *marks, silence="_"),
    }


def grammar_score(model: BackoffModel, words: tuple[str, ...], history: tuple[str, ...] = ("<s>",)) -> float:
    """The best of all ways through the back-offs, each with the history that it leads to."""
    word, *rest = words or ("</s>",)
    found = -float("inf")
    if (*history, word) in model.grams:
        said = model.grams[*history, word][0]
        after = (*history, word)[1 - model.order :]
        found = said + (grammar_score(model, tuple(rest), after) if words else 0.0)
    if history:
        weight = model.grams.get(history, (0.0, 0.0))[1]
        found = max(found, weight + grammar_score(model, words, history[1:]))
    return found


def written(lexicon: Lexicon, words: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    """Every way to write a sentence."""
    gap = [()] if lexicon.between is None else [(lexicon.between,)]
    edge: list[tuple[int, ...]] = [()]
    if lexicon.silence is not None:
        gap, edge = [(), (lexicon.silence,)], [(), (lexicon.silence,)]
    if not words:
        yield from edge
    for ways in itertools.product(*(lexicon.words[word] for word in words)) if words else ():
        for gaps in itertools.product(edge, *[gap] * (len(words) - 1), edge):
            yield tuple(itertools.chain(gaps[0], *(way + after for way, after in zip(ways, gaps[1:], strict=True))))


def brute(
    scores: Tensor, lexicon: Lexicon, model: BackoffModel, scale: float = 1.0
) -> list[tuple[float, tuple[str, ...]]]:
    """(score, words) of every sentence that has a path through ``scores`` (T, V + 1), the best first, in float64."""
    frames, width = scores.shape
    paths: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(width), repeat=frames):
        ids = tuple(label for label, _ in itertools.groupby(path) if label != width - 1)
        value = float(sum(scores[t, label].double() for t, label in enumerate(path)))
        paths[ids] = max(paths.get(ids, -float("inf")), value)
    found = []
    for length in range(frames + 1):
        for words in itertools.product(lexicon.words, repeat=length):
            ways = [paths[way] for way in written(lexicon, words) if way in paths]
            if ways:
                found.append((scale * max(ways) + grammar_score(model, words), words))
    return sorted(found, key=lambda each: -each[0])


def random_language(seed: int) -> tuple[Lexicon, BackoffModel]:
    """Up to four words of three symbols, homophones and all, and n-grams of order 1 to 3, some of them missing."""
    draw = random.Random(seed)
    between, silence = draw.choice([(None, None), (0, None), (None, 0)])
    symbols = (0, 1, 2) if between is silence else (1, 2)
    words = {}
    for word in "abcd"[: draw.randint(1, 4)]:
        ways = {tuple(draw.choices(symbols, k=draw.randint(1, 2))) for _ in range(draw.randint(1, 2))}
        words[word] = tuple(sorted(ways))
    order = draw.randint(1, 3)
    grams = {(word,): (-3 * draw.random(), -draw.random() * (order > 1)) for word in ("<s>", *words, "</s>")}
    for length in range(2, order + 1):
        for gram in itertools.product(("<s>", *words), *[words] * (length - 2), (*words, "</s>")):
            if draw.random() < 0.3:
                grams[gram] = (-2 * draw.random(), -draw.random() * (length < order))
    return Lexicon(words, tuple("xyz"), "random", between, silence), BackoffModel(grams, order)


def random_scores(frames: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(frames, width, generator=generator)).log_softmax(-1)
