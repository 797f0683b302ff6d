"""k-means++ seeding and Lloyd's iteration over frames in memory, bit for bit the same for any number of ranks."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from speechunits import ranks
from speechunits.quantizers.kmeans import BLOCK, CHUNK, nearest

GROUPS = 32  # partial sums that ranks share out; a constant, because the order of additions must not know the ranks


def plus_plus(frames: Tensor, size: int, seed: int) -> Tensor:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007, section 2.2; ``2 + log K`` trials as scikit-learn does).

    Args:
        frames: (N, D) float32, N >= size.

    Returns:
        (size, D) float32: frames, the same on every rank (rank 0 draws).
    """
    chosen = frames.new_empty(size, frames.size(1))
    if ranks.rank() == 0:
        draws = torch.Generator().manual_seed(seed)
        squares = frames.pow(2).sum(1)
        first = int(torch.randint(len(frames), (1,), generator=draws))
        chosen[0] = frames[first]
        distances = nearest(frames, chosen[:1])[1]
        for k in range(1, size):
            # on the CPU: a cumulative sum on a GPU may differ from run to run
            mass = distances.cpu().double().cumsum(0)
            points = torch.rand(2 + int(math.log(size)), generator=draws, dtype=torch.float64) * mass[-1]
            trial = torch.searchsorted(mass, points, right=True).clamp_(max=len(frames) - 1).to(frames.device)
            offers = torch.addmm(squares, frames[trial], frames.T, alpha=-2).add_(squares[trial, None]).clamp_(min=0)
            offers = torch.minimum(offers, distances)
            best = int(offers.sum(1, dtype=torch.float64).argmin())
            distances = offers[best].clone()
            chosen[k] = frames[trial[best]]
    return ranks.broadcast(chosen, 0)


def sums(frames: Tensor, codes: Tensor, distances: Tensor, size: int) -> Tensor:
    """What one block adds to an update, as one float64 vector (K * D + K + 1,); ``split`` reads it.

    Args:
        frames: (N, D).
        codes: (N,) nearest clusters.
        distances: (N,) squared distances to them.
        size: K.
    """
    dim = frames.size(1)
    out = torch.zeros(size * dim + size + 1, dtype=torch.float64, device=frames.device)
    vectors, counts, inertia = split(out, size)
    for start in range(0, len(frames), CHUNK):
        part, own = frames[start : start + CHUNK].double(), codes[start : start + CHUNK]
        if part.is_cuda:  # index_add_ adds in no fixed order there
            vectors += torch.nn.functional.one_hot(own, size).double().T @ part
        else:
            vectors.index_add_(0, own, part)
    counts += torch.bincount(codes, minlength=size)
    inertia += distances.sum(dtype=torch.float64)
    return out


def split(total: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views of ``sums``: vector sums (K, D), frames per cluster (K,), sum of squared distances ()."""
    return total[: -size - 1].view(size, -1), total[-size - 1 : -1], total[-1]


def means(total: Tensor, fallback: Tensor) -> Tensor:
    """Centroids (K, D) float32 from ``sums``; an empty cluster keeps its ``fallback``."""
    vectors, counts, _ = split(total, len(fallback))
    return torch.where(counts[:, None] > 0, (vectors / counts[:, None].clamp(min=1)).float(), fallback)


class Update(NamedTuple):
    """One Lloyd iteration: the new centroids; the mean squared distance to, and the empty clusters of, the old ones."""

    centroids: Tensor
    inertia: float
    empty: int
    reseeded: int


def lloyd(frames: Tensor, centroids: Tensor) -> Update:
    """One iteration of Lloyd (1982) over frames (N, D) that every rank holds; ranks share the work.

    Sums are float64, taken over fixed groups of blocks and added in the order of the groups. Clusters that lost all
    frames move to the frames farthest from their centroids (the first of equals).
    """
    size, world = len(centroids), ranks.world()
    step = -(-len(frames) // (GROUPS * BLOCK)) * BLOCK
    groups = frames.split(step)
    total = frames.new_zeros(size * (frames.size(1) + 1) + 1, dtype=torch.float64)
    distances = [frames.new_empty(len(group)) for group in groups]
    for base in range(0, len(groups), world):  # one group per rank at the same time, then added one by one
        mine = base + ranks.rank()
        part = torch.empty_like(total)
        if mine < len(groups):
            codes, distances[mine] = nearest(groups[mine], centroids)
            part = sums(groups[mine], codes, distances[mine], size)
        for group in range(base, min(base + world, len(groups))):
            total += ranks.broadcast(part if group == mine else torch.empty_like(total), group % world)
    new = means(total, centroids)
    _, counts, inertia = split(total, size)
    empty = torch.nonzero(counts == 0)[:, 0]
    reseeded = 0
    if len(empty):
        every = torch.cat([ranks.broadcast(d, group % world) for group, d in enumerate(distances)])
        far = torch.sort(every.cpu(), descending=True, stable=True).indices[: len(empty)].to(frames.device)
        # exact distances: with fewer different frames than clusters there is nowhere to go
        apart = (frames[far] != centroids[nearest(frames[far], centroids)[0]]).any(1)
        reseeded = int(apart.sum())
        new[empty[:reseeded]] = frames[far[apart]]
    return Update(new, float(inertia) / len(frames), len(empty), reseeded)
