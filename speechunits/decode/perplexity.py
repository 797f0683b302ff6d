"""How well a back-off model expects texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from speechunits.decode.arpa import BEGIN, END, UNKNOWN, Gram, Level
from speechunits.errors import UserError


def log10_of(levels: Sequence[Level], history: Gram, word: str) -> float:
    """log10 P(word | history of fewer words than the model's order), by the definition of the ARPA format; -inf for a word that
    it does not have."""
    weight = 0.0
    for start in range(len(history) + 1):
        gram = (*history[start:], word)
        if gram in levels[len(gram) - 1]:
            return weight + levels[len(gram) - 1][gram][0]
        if start < len(history):
            weight += levels[len(gram) - 2].get(gram[:-1], (0.0, 0.0))[1]
    return -math.inf


def perplexity(levels: Sequence[Level], sentences: Iterable[Sequence[str]]) -> float:
    """Per word, the ends of sentences included; words that the model does not know are ``<unk>``.

    Raises:
        UserError: there is no sentence.
    """
    total, count = 0.0, 0
    for sentence in sentences:
        words = (BEGIN, *(w if (w,) in levels[0] else UNKNOWN for w in sentence), END)
        total += sum(log10_of(levels, words[max(0, i - len(levels) + 1) : i], words[i]) for i in range(1, len(words)))
        count += len(words) - 1
    if not count:
        raise UserError("valid: no text to measure the perplexity of; give manifests with transcripts")
    return 10 ** (-total / count)
