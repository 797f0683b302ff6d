"""Dynamic time warping of many pairs at once, normalised by the length of the path."""

from __future__ import annotations

import torch
from torch import Tensor


def dtw(frames: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Mean frame distance along the cheapest monotone path of each pair.

    Steps (1, 0), (0, 1) and (1, 1) of weight one; among equally cheap predecessors the diagonal comes first, then the
    left one: ``eval/ABX_src/dtw.pyx`` of Libri-Light (https://github.com/facebookresearch/libri-light).

    Args:
        frames: (N, M, P) frame distances of P pairs; what lies beyond ``rows`` and ``cols`` is not read into a result.
        rows: (P,) int64 in 1..N, frames of the first of the pair.
        cols: (P,) int64 in 1..M, frames of the second.

    Returns:
        (P,)
    """
    n, m, _ = frames.shape
    cost = frames[0].cumsum(0)  # (M, P): cheapest path to each column of this row
    steps = torch.arange(1, m + 1, dtype=frames.dtype)[:, None].expand_as(cost)  # and how many frames it has
    out = torch.empty_like(cost[0])
    for i in range(n):
        if i:
            above, before = cost[1:], cost[:-1]
            straight = before <= above
            # from the left only where that is strictly cheaper than the diagonal, or no dearer than from above
            limit = torch.where(straight, torch.nextafter(before, before.new_tensor(-torch.inf)), above)
            best, length = torch.minimum(before, above), torch.where(straight, steps[:-1], steps[1:]) + 1
            left, count = cost[0] + frames[i, 0], torch.full_like(out, i + 1)
            costs, counts = [left], [count]
            for j in range(1, m):
                count = torch.where(left <= limit[j - 1], count + 1, length[j - 1])
                left = torch.minimum(left, best[j - 1]) + frames[i, j]
                costs.append(left)
                counts.append(count)
            cost, steps = torch.stack(costs), torch.stack(counts)
        done = (rows == i + 1).nonzero()[:, 0]
        end = cols[done] - 1
        out[done] = cost[end, done] / steps[end, done]
    return out
