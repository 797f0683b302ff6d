"""Levenshtein distance of many pairs of sequences at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from speechunits.seq import Seq, pad

ONE = 1 << 32  # an edit, in a sum that also counts substitutions


def edit_distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """(P,) int64: fewest insertions, deletions and substitutions from ``left[p]`` (N_p,) to ``right[p]`` (M_p,)."""
    return _cheapest(pad(left, None), pad(right, None), 1, 1) if left else torch.zeros(0, dtype=torch.int64)


def edit_distances(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """(P, Q) int64: fewest edits from each of ``left`` to each of ``right``; both have one at least."""
    a, b = pad(left, None), pad(right, None)
    each = Seq(a.data.repeat_interleave(len(right), 0), a.lengths.repeat_interleave(len(right)), None)
    every = Seq(b.data.repeat(len(left), 1), b.lengths.repeat(len(left)), None)
    return _cheapest(each, every, 1, 1).view(len(left), len(right))


def edit_counts(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """(P, 3) int64: insertions, deletions and substitutions of the fewest edits from ``left[p]`` to ``right[p]``.

    Of all such alignments, one with the fewest substitutions, that is, with the most symbols right. Deletions less
    insertions are N - M in each of them, so the number of edits and of substitutions decide all three.
    """
    if not left:
        return torch.zeros(0, 3, dtype=torch.int64)
    total = _cheapest(pad(left, None), pad(right, None), ONE, ONE + 1)
    edits, replaced = total // ONE, total % ONE
    shorter = torch.tensor([len(a) - len(b) for a, b in zip(left, right, strict=True)], dtype=torch.int64)
    return torch.stack([(edits - replaced - shorter) // 2, (edits - replaced + shorter) // 2, replaced], -1)


def _cheapest(a: Seq, b: Seq, moved: int, replaced: int) -> Tensor:
    """(P,) int64: least cost from ``a`` (P, N) to ``b`` (P, M) where an insertion or deletion costs ``moved``."""
    column = moved * torch.arange(b.data.size(1) + 1)
    cost = column.expand(len(a.lengths), -1)
    pairs = torch.arange(len(a.lengths))
    out = cost[pairs, b.lengths]
    for i, symbol in enumerate(a.data.unbind(1), 1):
        matched = cost[:, :-1] + replaced * (symbol[:, None] != b.data)
        best = torch.cat([torch.full_like(cost[:, :1], i * moved), torch.minimum(matched, cost[:, 1:] + moved)], 1)
        # cost[j] = min over k <= j of best[k] + (j - k) moves: all insertions of a row in one running minimum
        cost = (best - column).cummin(1).values + column
        out = torch.where(a.lengths == i, cost[pairs, b.lengths], out)
    return out
