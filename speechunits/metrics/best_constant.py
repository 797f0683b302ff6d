"""The best constant output: what a recogniser reaches that hears nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from speechunits.metrics.edit_distance import edit_distances

WORDS = 64  # the most frequent ones are tried


def best_constant(references: Sequence[Sequence[str]]) -> tuple[list[str], float]:
    """The words of one text given for every utterance, which fewest edits turn into ``references``, and its word error rate in
    percent.

    The reference nearest to all others, then one word deleted, replaced or inserted at a time for as long as that helps: a
    local optimum of the generalised median string, which is hard to find exactly (de la Higuera and Casacuberta 2000).

    Raises:
        ValueError: there is no word.
    """
    number: dict[str, int] = {}
    said = [torch.tensor([number.setdefault(w, len(number)) for w in text], dtype=torch.int64) for text in references]
    words = sum(map(len, said))
    if not words:
        raise ValueError("no reference has a word")

    def edits(candidates: list[tuple[int, ...]]) -> list[int]:
        return edit_distances([torch.tensor(c, dtype=torch.int64) for c in candidates], said).sum(1).tolist()

    def best(candidates: list[tuple[int, ...]]) -> tuple[int, tuple[int, ...]]:
        blocks = [candidates[i : i + 64] for i in range(0, len(candidates), 64)]
        return min((cost, c) for block in blocks for cost, c in zip(edits(block), block, strict=True))

    common = [number[w] for w, _ in Counter(w for text in references for w in text).most_common(WORDS)]
    cost, found = best(sorted({(), *(tuple(x.tolist()) for x in said)}))
    while True:
        shorter = [found[:i] + found[i + 1 :] for i in range(len(found))]
        other = [(*found[:i], w, *found[j:]) for i in range(len(found) + 1) for j in (i, i + 1) for w in common]
        less, better = best(sorted({*shorter, *other}))
        if less >= cost:
            break
        cost, found = less, better
    spelled = list(number)
    return [spelled[w] for w in found], 100 * cost / words
