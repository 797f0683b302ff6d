"""Distances between segments of speech: frame distances, then dynamic time warping, for very many pairs at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from speechunits.metrics.abx_items import AbxItems, Ints
from speechunits.metrics.dtw import dtw

CELLS_AT_ONCE = 2**22  # frame distances held at a time: 16 MB in float32
PAIRS_AT_ONCE = 2**14  # pairs warped at a time: a row of theirs stays in the cache


def prepare(features: Tensor) -> Tensor:
    """Frames (T, D) made ready for ``frame_distance``: vectors get length one, ids (T,) or (T, K) stay.

    A null vector is at distance 1 from every other vector and 0 from itself, which takes one more dimension
    (``normalize_with_singularity`` of Libri-Light).
    """
    if not features.is_floating_point():
        return features.reshape(len(features), -1)
    x = features if features.dtype == torch.float64 else features.float()
    norm = x.norm(dim=1, keepdim=True)
    null = norm == 0
    border = torch.where(null, x.new_tensor(-2e6), x.new_tensor(1e-6))
    return torch.cat([x / norm.masked_fill(null, 1), border], 1)


def frame_distance(left: Tensor, right: Tensor) -> Tensor:
    """(N, M) from prepared frames (N, D) and (M, D): angle / pi of vectors, share of differing ids of units."""
    if left.is_floating_point():
        return (left @ right.T).clamp_(-1, 1).acos_() / math.pi
    return (left[:, None] != right[None]).float().mean(-1)


class SegmentDistances:
    """The frames of ``items`` laid end to end, so that neighbouring items are a slice.

    Args:
        items: segments; those that are compared with one another stand together.
        features: per utterance (T, D) vectors or (T,) or (T, K) ids.
    """

    def __init__(self, items: AbxItems, features: Sequence[Tensor]) -> None:
        ready = {u: prepare(features[u]) for u in np.unique(items.utterance).tolist()}
        spans = zip(items.utterance.tolist(), items.start.tolist(), items.end.tolist(), strict=True)
        self.frames = torch.cat([ready[u][start:end] for u, start, end in spans])
        self.lengths = items.end - items.start
        self.first = np.r_[0, np.cumsum(self.lengths)]

    def between(self, jobs: Sequence[tuple[slice, slice]]) -> Iterator[Tensor]:
        """For each job, in order, the (N, M) distances of its N row items and M column items."""
        waiting: list[tuple[slice, slice]] = []
        cells = 0
        for job in jobs:
            size = math.prod(int(self.first[s.stop] - self.first[s.start]) for s in job)
            if waiting and cells + size > CELLS_AT_ONCE:
                yield from self._warp(waiting)
                waiting, cells = [], 0
            waiting.append(job)
            cells += size
        if waiting:
            yield from self._warp(waiting)

    def _warp(self, jobs: list[tuple[slice, slice]]) -> Iterator[Tensor]:
        blocks, columns, offset = [], [], 0
        for rows, cols in jobs:
            top, bottom = self.first[rows.start], self.first[rows.stop]
            left, right = self.first[cols.start], self.first[cols.stop]
            blocks.append(frame_distance(self.frames[top:bottom], self.frames[left:right]).flatten())
            down, over = (self.first[rows] - top)[:, None], (self.first[cols] - left)[None]
            corner = offset + down * (right - left) + over
            n, m = np.broadcast_arrays(self.lengths[rows][:, None], self.lengths[cols][None])
            columns.append([x.reshape(-1) for x in (corner, np.full(corner.shape, right - left), n, m)])
            offset += len(blocks[-1])
        warped = self._warp_pairs(torch.cat(blocks), *(np.concatenate(c) for c in zip(*columns, strict=True)))
        shapes = [(rows.stop - rows.start, cols.stop - cols.start) for rows, cols in jobs]
        parts = warped.split([n * m for n, m in shapes])
        yield from (part.view(shape) for part, shape in zip(parts, shapes, strict=True))

    @staticmethod
    def _warp_pairs(cells: Tensor, corner: Ints, stride: Ints, n: Ints, m: Ints) -> Tensor:
        """(P,) from pairs whose (n, m) frame distances start at ``corner`` of ``cells``, with rows ``stride`` apart."""
        order = np.lexsort((m, n))  # like sizes together: little is computed beyond a pair's own frames
        out = cells.new_empty(len(order))
        step = max(256, min(PAIRS_AT_ONCE, CELLS_AT_ONCE // int(n.max() * m.max())))
        for some in np.split(order, range(step, len(order), step)):
            at, wide, rows, cols = (torch.from_numpy(x[some]) for x in (corner, stride, n, m))
            down = torch.arange(int(rows.max()))[:, None, None]
            over = torch.arange(int(cols.max()))[None, :, None]
            index = (at + down * wide + over).clamp_(max=len(cells) - 1)
            out[torch.from_numpy(some)] = dtw(cells[index], rows, cols)
        return out
