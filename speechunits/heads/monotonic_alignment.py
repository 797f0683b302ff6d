"""Which symbol each unit belongs to, found without labels: all monotonic paths summed up, and the best of them.

A path gives the first unit to the first symbol, the last to the last, and each unit to the symbol of the one before it or to
the next: no symbol is skipped, so there are none where there are fewer units than symbols. Time is walked once for a whole
batch; sums are float32 or better.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NEVER = -1e9  # finite: where nothing leads, the gradient of a logarithm of nothing would be none


def _begin(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, L) -> the same in float32 or better, and (B, L) of the first unit."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    first = torch.full_like(scores[:, 0], NEVER)
    return scores, torch.cat([scores[:, 0, :1], first[:, 1:]], 1)


def forward_sum(scores: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
    """Logarithm of the sum over all paths (Badlani et al. 2021, arXiv:2108.10447, eq. 2 and 3).

    Args:
        scores: (B, T, L), log-probability of each unit where it belongs to each symbol.
        units, symbols: (B,) how many are real; (B,) means nothing where there are fewer units than symbols.
    """
    scores, sums = _begin(scores)
    for t in range(1, scores.size(1)):
        moved = F.pad(sums[:, :-1], (1, 0), value=NEVER)
        sums = torch.where((t < units)[:, None], torch.logaddexp(sums, moved) + scores[:, t], sums)
    return sums.gather(1, (symbols - 1).clamp(min=0)[:, None])[:, 0]


@torch.no_grad()
def best_durations(scores: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
    """(B, L) int64, how many units each symbol has on the likeliest path; 0 on padding (monotonic alignment search: Kim et al.
    2020, arXiv:2005.11129, algorithm 1). Of equally likely paths, one that goes on to the next symbol earlier.

    Args:
        scores, units, symbols: see ``forward_sum``.
    """
    scores, best = _begin(scores)
    moves = []
    for t in range(1, scores.size(1)):
        moved = F.pad(best[:, :-1], (1, 0), value=2 * NEVER)
        moves.append(moved > best)
        best = torch.where((t < units)[:, None], torch.maximum(best, moved) + scores[:, t], best)
    at = (symbols - 1).clamp(min=0)
    counts = torch.zeros_like(best, dtype=torch.int64)
    for t in reversed(range(scores.size(1))):
        real = (t < units) & (symbols > 0)
        counts.scatter_add_(1, at[:, None], real[:, None].long())
        if t:
            at = torch.where(real, at - moves[t - 1].gather(1, at[:, None])[:, 0].long(), at)
    return counts


def diagonal_prior(units: Tensor, symbols: Tensor, shape: tuple[int, int], sharpness: float = 1.0) -> Tensor:
    """(B, T, L) log-probability that unit t belongs to symbol j, before anything is learned: the beta-binomial distribution of
    Badlani et al. 2021, eq. 4, which lies around the diagonal; -1e9 on padding.

    Args:
        units, symbols: (B,) how many are real.
        shape: T and L.
        sharpness: omega; the higher, the narrower.
    """
    kind = {"dtype": torch.float64, "device": units.device}
    t, j = torch.arange(1, shape[0] + 1, **kind)[:, None], torch.arange(shape[1], **kind)
    last, ends = (symbols[:, None, None] - 1).double(), units[:, None, None].double()
    a, b, rest = sharpness * t, sharpness * (ends - t + 1).clamp(min=1), (last - j).clamp(min=0)
    ways = (last + 1).lgamma() - (j + 1).lgamma() - (rest + 1).lgamma()
    beta = (j + a).lgamma() + (rest + b).lgamma() - (last + a + b).lgamma()
    whole = a.lgamma() + b.lgamma() - (a + b).lgamma()
    real = (t <= ends) & (j <= last)
    return (ways + beta - whole).masked_fill(~real, NEVER)
