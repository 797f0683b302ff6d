"""Other ways to cut a text into pieces, drawn at random: a recogniser that sees several does not rely on one of them.

sentencepiece draws too, but salts its seed anew in every process, so that a resumed training would see other pieces than one
that went on; here every draw comes from the generator that the caller gives.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np


def merge(text: str, scores: Mapping[str, float], drop: float, generator: np.random.Generator) -> list[str]:
    """BPE-dropout (Provilkov et al. 2020, https://arxiv.org/abs/1910.13267), as sentencepiece draws it.

    From single characters on, the neighbours whose union has the highest score become one, those on the left first. Each time
    it is their turn they are left out with the probability ``drop``, and come up again only when one of them has grown. 0
    gives the pieces of BPE, 1 characters.
    """
    parts: list[str] = list(text)
    before, after = list(range(-1, len(parts) - 1)), list(range(1, len(parts) + 1))
    waiting: list[tuple[float, int, int, str]] = []

    def offer(left: int, right: int) -> None:
        if left >= 0 and right < len(parts) and (union := parts[left] + parts[right]) in scores:
            heapq.heappush(waiting, (-scores[union], left, right, union))

    for right in range(1, len(parts)):
        offer(right - 1, right)
    while waiting:
        _, left, right, union = heapq.heappop(waiting)
        if parts[left] + parts[right] != union or after[left] != right or not parts[left]:
            continue  # one of them is part of something else by now
        if drop and generator.random() < drop:
            continue
        parts[left], parts[right] = union, ""
        after[left] = after[right]
        if after[left] < len(parts):
            before[after[left]] = left
        offer(before[left], left)
        offer(left, after[left])
    return [part for part in parts if part]


def sample(text: str, scores: Mapping[str, float], alpha: float, generator: np.random.Generator) -> list[str]:
    """A segmentation of ``text``, drawn in proportion to its probability to the power ``alpha``.

    Subword regularisation (Kudo 2018, https://arxiv.org/abs/1804.10959, section 3.3 with l = infinity): sums over all
    segmentations forwards, draws backwards. ``scores`` are log-probabilities; every character must have one.
    """
    longest = max(map(len, scores))
    total = [0.0]
    ways: list[tuple[list[int], np.ndarray]] = []
    for end in range(1, len(text) + 1):
        starts = [s for s in range(max(0, end - longest), end) if text[s:end] in scores]
        weights = np.array([total[s] + alpha * scores[text[s:end]] for s in starts])
        total.append(float(np.logaddexp.reduce(weights)))
        ways.append((starts, np.exp(weights - total[-1])))
    out: list[str] = []
    end = len(text)
    while end:
        starts, chances = ways[end - 1]
        at = int(np.searchsorted(np.cumsum(chances), generator.random()))
        start = starts[min(at, len(starts) - 1)]  # rounding: the chances may add up to a little less than 1
        out.append(text[start:end])
        end = start
    return out[::-1]
