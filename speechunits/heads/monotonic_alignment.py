"""Which symbol each unit belongs to, found without labels: all monotonic paths summed up, and the best of them.

A path gives the first unit to the first symbol, the last to the last, and each unit to the symbol of the one before it or to
the next: no symbol is skipped, so there are none where there are fewer units than symbols. Time is walked once for a whole
batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

NEVER = -1e9  # finite, so that nothing that leads nowhere becomes no number


def _first(scores: Tensor) -> Tensor:
    """(B, T, L) -> (B, L), those of the first unit, which is the first symbol's."""
    return torch.cat([scores[:, 0, :1], torch.full_like(scores[:, 0, 1:], NEVER)], 1)


def _turned(x: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
    """(B, T, L) -> the same with the last unit and the last symbol first; what is padding is anything."""
    for dim, lengths in ((1, units), (2, symbols)):
        places = (lengths[:, None] - 1 - torch.arange(x.size(dim), device=x.device)).clamp(min=0)
        x = x.gather(dim, places.unsqueeze(3 - dim).expand_as(x))
    return x


class _Sum(torch.autograd.Function):
    """Walked from both ends at once: what leads to a place and what leads on from it give its share, which is the gradient."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
        exact = scores.double()
        both = torch.cat([exact, _turned(exact, units, symbols)])
        sums = [_first(both)]
        for t in range(1, both.size(1)):
            moved = F.pad(sums[-1][:, :-1], (1, 0), value=NEVER)
            sums.append(torch.logaddexp(sums[-1], moved) + both[:, t])
        before, after = torch.stack(sums, 1).chunk(2)
        ends = before.gather(1, (units - 1).clamp(min=0)[:, None, None].expand(-1, 1, before.size(2)))[:, 0]
        total = ends.gather(1, (symbols - 1).clamp(min=0)[:, None])
        shares = (before + _turned(after, units, symbols) - exact - total[..., None]).exp()
        t, j = (torch.arange(size, device=scores.device) for size in scores.shape[1:])
        real = (t < units[:, None])[..., None] & (j < symbols[:, None])[:, None] & (symbols <= units)[:, None, None]
        ctx.save_for_backward(torch.where(real, shares, 0.0).to(scores.dtype))
        return total[:, 0].to(scores.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (shares,) = ctx.saved_tensors
        return gradient[:, None, None] * shares, None, None


def forward_sum(scores: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
    """Logarithm of the sum over all paths (Badlani et al. 2021, arXiv:2108.10447, eq. 2 and 3), float32 or better; its gradient
    is how probably each unit belongs to each symbol, nothing where there is no path.

    Args:
        scores: (B, T, L), log-probability of each unit where it belongs to each symbol.
        units, symbols: (B,) how many are real; the sum means nothing where there are fewer units than symbols.
    """
    return _Sum.apply(scores.to(torch.promote_types(scores.dtype, torch.float32)), units, symbols)


@torch.no_grad()
def best_durations(scores: Tensor, units: Tensor, symbols: Tensor) -> Tensor:
    """(B, L) int64, how many units each symbol has on the likeliest path; 0 on padding (monotonic alignment search: Kim et al.
    2020, arXiv:2005.11129, algorithm 1). Of equally likely paths, one that goes on to the next symbol earlier.

    Args:
        scores, units, symbols: see ``forward_sum``.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    best, moves = _first(scores), []
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
