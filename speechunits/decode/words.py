"""Words with their times, from symbols with their frames."""

from __future__ import annotations

from collections.abc import Callable
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
    """The words that the search found, else those of ``decode(found.ids)``, which white space parts.

    A symbol belongs to the words that it begins or changes when it is added to those before it; one that is white space
    alone belongs to none.

    Args:
        decode: the tokenizer's.
        edges: (T + 1,) seconds at which the frames of the spans begin, and at which the last one ends.
    """
    of = [list(range(first, behind)) for _, first, behind in found.words or ()]  # symbols of each word
    before = [word for word, _, _ in found.words or ()]
    for i in range(len(found.ids)) if found.words is None else ():
        now = decode(found.ids[: i + 1]).split()
        of = of[: len(now)] + [[] for _ in range(len(now) - len(of))]
        for k, word in enumerate(now):
            if before[k : k + 1] != [word]:
                of[k].append(i)
        before = now
    made = []
    for text, symbols in zip(before, of, strict=True):
        start = end = sure = None
        if found.spans is not None:
            first, after = found.spans[symbols].unbind(1)
            start, end = float(edges[int(first.min())]), float(edges[int(after.max())])
        if found.confidence is not None:
            sure = float(found.confidence[symbols].min())
        made.append(Word(text, start, end, sure))
    return made
