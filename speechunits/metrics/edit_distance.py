"""Levenshtein distance of many pairs of sequences at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from speechunits.seq import pad


def edit_distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """(P,) int64: fewest insertions, deletions and substitutions from ``left[p]`` (N_p,) to ``right[p]`` (M_p,)."""
    if not left:
        return torch.zeros(0, dtype=torch.int64)
    a, b = pad(left, None), pad(right, None)
    column = torch.arange(b.data.size(1) + 1)
    cost = column.expand(len(left), -1)
    pairs = torch.arange(len(left))
    out = cost[pairs, b.lengths]
    for i, symbol in enumerate(a.data.unbind(1), 1):
        replaced = cost[:, :-1] + (symbol[:, None] != b.data)
        best = torch.cat([torch.full_like(cost[:, :1], i), torch.minimum(replaced, cost[:, 1:] + 1)], 1)
        # cost[j] = min over k <= j of best[k] + (j - k): all insertions of a row in one running minimum
        cost = (best - column).cummin(1).values + column
        out = torch.where(a.lengths == i, cost[pairs, b.lengths], out)
    return out
