"""Other ways to cut a word into pieces, drawn at random: a recogniser that sees several does not rely on one of them.

sentencepiece can draw too, but from a generator of its own whose seed counts once for each thread; here every draw comes
from the generator that the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np


def merge(word: str, scores: Mapping[str, float], drop: float, generator: np.random.Generator) -> list[str]:
    """BPE-dropout (Provilkov et al. 2020, https://arxiv.org/abs/1910.13267, algorithm 1).

    From single characters on, the neighbours whose union has the highest score become one, until none can; before each
    merge every possible one is left out with the probability ``drop``. 0 gives the pieces of BPE, 1 characters.
    """
    parts = list(word)
    while True:
        found = [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in scores]
        kept = [pair for pair, u in zip(found, generator.random(len(found)), strict=True) if u >= drop]
        if not kept:
            return parts
        _, i = min(kept)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def sample(word: str, scores: Mapping[str, float], alpha: float, generator: np.random.Generator) -> list[str]:
    """A segmentation of ``word``, drawn in proportion to its probability to the power ``alpha``.

    Subword regularisation (Kudo 2018, https://arxiv.org/abs/1804.10959, section 3.3 with l = infinity): sums over all
    segmentations forwards, draws backwards. ``scores`` are log-probabilities; every character must have one.
    """
    longest = max(map(len, scores))
    total = [0.0]
    ways: list[tuple[np.ndarray, np.ndarray]] = []
    for end in range(1, len(word) + 1):
        starts = [s for s in range(max(0, end - longest), end) if word[s:end] in scores]
        weights = np.array([total[s] + alpha * scores[word[s:end]] for s in starts])
        total.append(float(np.logaddexp.reduce(weights)))
        ways.append((np.array(starts), np.exp(weights - total[-1])))
    out: list[str] = []
    end = len(word)
    while end:
        starts, chances = ways[end - 1]
        at = int(np.searchsorted(np.cumsum(chances), generator.random()))
        start = int(starts[min(at, len(starts) - 1)])  # rounding: the chances may add up to a little less than 1
        out.append(word[start:end])
        end = start
    return out[::-1]
