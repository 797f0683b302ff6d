"""What beam searches share: prefixes that know their equals, the best of many by value and order, n-best lists."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.decode.hypothesis import Hypothesis
from speechunits.seq import Seq

MULTIPLIER = 6364136223846793005  # Knuth's, of MMIX
NEVER = float("-inf")


def check_positive(**numbers: int | None) -> None:
    """See that those of ``numbers`` that are given are 1 or more.

    Raises:
        ValueError: one is not.
    """
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number}: give 1 or more")


def longer(prefix: Tensor, symbols: Tensor) -> Tensor:
    """The number of a prefix that goes on with a symbol; that of the empty prefix is 0.

    A polynomial modulo 2^64: equal prefixes have equal numbers, and different ones almost surely different ones.
    """
    return (prefix + symbols + 1) * MULTIPLIER


def first_best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and places of the ``count`` largest of (..., N), the first of equal ones first; fewer if there are not so many.

    ``topk`` promises no order of equal values, so that they would fall as the device likes: what it chose is put in order, and
    where the last one equals one that it left, all are sorted. Places of -inf mean nothing.
    """
    count = min(count, scores.size(-1))
    values, places = scores.topk(min(count + 1, scores.size(-1)))
    left = values[..., count:]
    doubtful = ((left == values[..., count - 1 : count]) & (left > NEVER)).any(-1)
    places, order = places[..., :count].sort()
    values, order = values[..., :count].gather(-1, order).sort(dim=-1, descending=True, stable=True)
    places = places.gather(-1, order)
    if doubtful.any():
        sorted_values, sorted_places = scores[doubtful].sort(dim=-1, descending=True, stable=True)
        values[doubtful], places[doubtful] = sorted_values[..., :count], sorted_places[..., :count]
    return values, places


def merge_equal(prefix: Tensor, scores: Tensor) -> Tensor:
    """Log-probabilities (B, N) of prefixes (B, N) -> the same where the likeliest of equal prefixes has them all."""
    same = (prefix[:, :, None] == prefix[:, None]) & (scores != NEVER)[:, None]
    total = scores[:, None].expand_as(same).masked_fill(~same, NEVER).logsumexp(-1)
    order = torch.arange(prefix.size(1), device=prefix.device)
    ahead = (scores[:, None] > scores[:, :, None]) | (
        (scores[:, None] == scores[:, :, None]) & (order < order[:, None])
    )
    return total.masked_fill((same & ahead).any(-1), NEVER)


def nbest_lists(
    scores: Tensor,
    ids: Seq,
    spans: Tensor | None = None,
    confidence: Tensor | None = None,
    aligned: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Hypotheses of B utterances; those of score -inf are none, but each utterance has one.

    Args:
        scores: (B, n), the best first.
        ids: (B * n, L) symbols.
        spans, confidence: (B * n, L, 2) and (B * n, L).
        aligned: (B * n,) bool, whose spans to believe; None = all.
    """
    width, found = scores.size(1), []
    rows, lengths = ids.data.cpu(), ids.lengths.tolist()
    spans, confidence = (None if x is None else x.cpu() for x in (spans, confidence))
    believed = [True] * len(lengths) if aligned is None else aligned.tolist()
    for b, values in enumerate(scores.tolist()):
        kept = [k for k, value in enumerate(values) if k == 0 or value > NEVER]
        each = []
        for k in kept:
            i = b * width + k
            n = lengths[i]
            span = None if spans is None or not believed[i] else spans[i, :n]
            sure = None if confidence is None else confidence[i, :n].float()
            each.append(Hypothesis(rows[i, :n], values[k], span, sure))
        found.append(each)
    return found
