"""Witten-Bell smoothing: n-gram probabilities that add up to one in every context."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from speechunits.decode.arpa import BEGIN, END, Gram, Level
from speechunits.errors import UserError


def count_grams(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """How often each n-gram occurs, unigrams first; one ``<s>`` before each sentence, which is never counted alone, and one
    ``</s>`` after it.

    Raises:
        UserError: a sentence has one of these as a word.
    """
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        if not {BEGIN, END}.isdisjoint(sentence):
            raise UserError(f"'{' '.join(sentence)[:60]}' has a word {BEGIN} or {END}; clean the transcripts")
        words = (BEGIN, *sentence, END)
        for end in range(2, len(words) + 1):
            for n in range(1, min(order, end) + 1):
                counts[n - 1][words[end - n : end]] += 1
    return counts


def witten_bell(counts: Sequence[Counter[Gram]], symbols: Iterable[str]) -> list[Level]:
    """ARPA levels of P(w | h) = (c(h w) + t(h) P(w | h')) / (c(h) + t(h)), where t(h) is the number of symbols seen after h and
    h' is h without its first symbol (Witten and Bell 1991, method C; interpolated as in Chen and Goodman 1998, section
    2.6). Before unigrams stands the uniform distribution over ``symbols`` and the end.

    A symbol not seen after h has t(h) / (c(h) + t(h)) of its probability after h', which is the back-off weight: the ARPA
    file says exactly this model. Chosen over Kneser-Ney, whose discounts are not defined on the few symbols of a text of
    characters.

    Raises:
        UserError: nothing was counted.
    """
    known = sorted({*symbols, END})
    if not counts or not counts[0]:
        raise UserError("no text to count n-grams of; give manifests with transcripts")
    probability: dict[Gram, float] = {}
    share: dict[Gram, float] = {}
    for n, level in enumerate(counts, 1):
        total: Counter[Gram] = Counter()
        kinds: dict[Gram, int] = defaultdict(int)
        for gram, count in level.items():
            total[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        share |= {context: kinds[context] / (total[context] + kinds[context]) for context in total}
        grams = {(word,) for word in known} | set(level) if n == 1 else set(level)
        for gram in grams:
            lower = probability[gram[1:]] if n > 1 else 1 / len(known)
            mass = share[gram[:-1]]
            probability[gram] = level[gram] * mass / kinds[gram[:-1]] + mass * lower
    levels: list[Level] = [{} for _ in counts]
    for gram, value in probability.items():
        levels[len(gram) - 1][gram] = (math.log10(value), math.log10(share.get(gram, 1.0)))
    levels[0][BEGIN,] = (-99.0, math.log10(share.get((BEGIN,), 1.0)))
    return levels
