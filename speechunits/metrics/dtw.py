"""Dynamic time warping: the mean distance along the path, of many pairs at once; and the path itself, of one pair."""

from __future__ import annotations

import numpy as np
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


def warp(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The path of one pair along which ``dtw`` takes its mean: rows (L,) and columns (L,), int64, from (0, 0) on.

    Goes along anti-diagonals, whose cells wait for nothing but the two before, so that long pairs take N + M steps.

    Args:
        frames: (N, M) frame distances, N and M at least 1.
    """
    n, m = frames.shape
    cells = frames.double().numpy().ravel()
    moves = np.empty((n + m - 1, n), np.int8)  # of anti-diagonal d in row i: 0 diagonal, 1 from the left, 2 from above
    before, last = np.full(n + 1, np.inf), np.full(n + 1, np.inf)  # cost of the two before, row i at i + 1
    before[0] = 0
    for d in range(n + m - 1):
        low, high = max(0, d - m + 1), min(n, d + 1)
        diagonal, left, above = before[low:high], last[low + 1 : high + 1], last[low:high]
        sideways = np.minimum(left, above)
        moves[d, low:high] = np.where(diagonal <= sideways, 0, np.where(left <= above, 1, 2))
        cost = np.full(n + 1, np.inf)
        rows = np.arange(low, high)
        cost[low + 1 : high + 1] = cells[rows * m + d - rows] + np.minimum(diagonal, sideways)
        before, last = last, cost
    i, j = n - 1, m - 1
    path = [(i, j)]
    while i or j:
        move = moves[i + j, i]
        i, j = i - (move != 1), j - (move != 2)
        path.append((i, j))
    rows, columns = torch.tensor(path[::-1]).unbind(1)
    return rows, columns
