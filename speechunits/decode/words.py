"""Words with their times, from symbols with their frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from speechunits.decode.hypothesis import Hypothesis


@dataclass(frozen=True)
class Word:
    """One word of a hypothesis.

    Args:
        text: without white space.
        start, end: in seconds; None where the hypothesis has no spans.
        confidence: of its least sure symbol, in [0, 1]; None where the hypothesis has none.
    """

    text: str
    start: float | None
    end: float | None
    confidence: float | None


def words(found: Hypothesis, decode: Callable[[Tensor], str], edges: Tensor) -> list[Word]:
    """The words that the search found, else those that its symbols spell.

    Args:
        decode: the tokenizer's.
        edges: (T + 1,) seconds at which the frames of the spans begin, and at which the last one ends.
    """
    if found.words is None:
        made = spelled(found.ids, decode)
    else:
        made = [(text, list(range(first, behind))) for text, first, behind in found.words]
    return [timed(text, symbols, found, lambda frame: float(edges[frame])) for text, symbols in made]


def spelled(ids: Tensor, decode: Callable[[Tensor], str]) -> list[tuple[str, list[int]]]:
    """The words of ``decode(ids)``, which white space parts, each with the numbers of its symbols.

    A symbol belongs to the words that it begins or changes when it is added to those before it, which are the last two at
    most; one that is white space alone belongs to none. Each is decoded with those of these two words: a text without white
    space takes the square of its length.
    """
    done: list[tuple[str, list[int]]] = []
    of: list[list[int]] = []  # symbols of each word that is not done
    before: list[str] = []
    start = 0
    for i in range(len(ids)):
        now = decode(ids[start : i + 1]).split()
        of = of[: len(now)] + [[] for _ in range(len(now) - len(of))]
        for k, word in enumerate(now):
            if before[k : k + 1] != [word]:
                of[k].append(i)
        before = now
        if len(now) > 2 and decode(ids[of[-2][0] : i + 1]).split() == now[-2:]:
            done += zip(now[:-2], of[:-2], strict=True)
            before, of, start = now[-2:], of[-2:], of[-2][0]
    return done + list(zip(before, of, strict=True))


def timed(text: str, symbols: Sequence[int], found: Hypothesis, seconds: Callable[[int], float]) -> Word:
    """The word that these symbols of ``found`` are; ``seconds`` says when a frame of its spans begins."""
    start = end = sure = None
    if found.spans is not None:
        first, after = found.spans[symbols].unbind(1)
        start, end = seconds(int(first.min())), seconds(int(after.max()))
    if found.confidence is not None:
        sure = float(found.confidence[symbols].min())
    return Word(text, start, end, sure)
