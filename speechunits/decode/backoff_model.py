"""An n-gram model of words, asked for sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechunits.decode.arpa import BEGIN, END, LEAST, UNKNOWN, Gram, read_arpa
from speechunits.errors import UserError

MARKS = (BEGIN, END, UNKNOWN)
NEVER = LEAST * math.log(10)


@dataclass(frozen=True)
class BackoffModel:
    """Probability of a word after those before it (Katz 1987, doi 10.1109/TASSP.1987.1165125, eq. 12, as ARPA files have it).

    ``NGram`` is the same for symbols, as tensors; this one is what word graphs are compiled from and ranked by.

    Args:
        grams: words -> natural logarithms of the probability of the last one after the others, and of the weight of backing
            off from them all.
        order: words in the longest of them.
    """

    grams: Mapping[Gram, tuple[float, float]]
    order: int

    def __contains__(self, word: str) -> bool:
        return (word,) in self.grams

    def after(self, history: Sequence[str], word: str) -> float:
        """Natural logarithm of the probability of ``word``; one that the model lacks is its ``<unk>``, else ``NEVER``."""
        if word not in self:
            word = UNKNOWN
        context = tuple(history)[max(0, len(history) - self.order + 1) :]
        weight = 0.0
        while (*context, word) not in self.grams:
            if not context:
                return NEVER
            weight += self.grams.get(context, (0.0, 0.0))[1]
            context = context[1:]
        return weight + self.grams[*context, word][0]

    def score(self, words: Sequence[str]) -> float:
        """Natural logarithm of the probability of a whole sentence, its end included."""
        said = [BEGIN, *words, END]
        return sum(self.after(said[:i], said[i]) for i in range(1, len(said)))


def read_model(path: str | Path) -> BackoffModel:
    """The model in an ARPA file.

    Raises:
        UserError: no ARPA file, cut off, or it knows no start or end of sentences.
    """
    levels, log10 = read_arpa(path), math.log(10)
    grams = {gram: (value * log10, weight * log10) for level in levels for gram, (value, weight) in level.items()}
    for mark in (BEGIN, END):
        if (mark,) not in grams:
            raise UserError(f"{path}: has no {mark}; train the model on sentences with {BEGIN} and {END}")
    return BackoffModel(grams, len(levels))
