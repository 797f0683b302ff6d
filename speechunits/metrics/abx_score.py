"""ABX: is X, of the phone of A, nearer to A than to B, of another phone? The error rate over all such triples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speechunits.metrics.abx_distance import SegmentDistances
from speechunits.metrics.abx_items import AbxItems, Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AbxScore:
    """The outcome of one ABX test.

    Args:
        error: share of triples answered wrongly, in [0, 1]; nan where the data hold no triple.
        cells: how many combinations of context, phone of A, phone of B, their speaker and the speaker of X it averages.
        kept: share of the comparisons that fitted into ``max_pairs``.
    """

    error: float
    cells: int
    kept: float


class Trial(NamedTuple):
    """X from group ``x``, A from group ``a``, B from every other group of A's block."""

    x: int
    a: int
    block: int


def abx(
    items: AbxItems,
    features: Sequence[Tensor],
    across: bool,
    *,
    max_size_group: int = 10,
    max_x_across: int = 5,
    max_pairs: int = 4_000_000,
    seed: int = 0,
) -> AbxScore:
    """ABX error within speakers (A, B, X of one) or across (A, B of one, X of another), as Libri-Light defines it.

    Kahn et al. 2020 (https://arxiv.org/abs/1912.07875), section 4, and ``eval/eval_ABX.py`` there. A tie is half an
    error. Errors are averaged over contexts (and speakers of X), then over speakers of A, then over ordered pairs of
    phones. One sample is drawn per group (context, speaker, phone) and used wherever the group occurs, where the
    reference draws anew each time; draws depend on ``seed`` and the items alone.

    Args:
        items: what to compare.
        features: per utterance (T, D) vectors, compared by angle, or (T,) or (T, K) ids, compared by identity; segments
            are aligned by dynamic time warping.
        across: X from another speaker.
        max_size_group: items per group.
        max_x_across: speakers of X per group of A.
        max_pairs: comparisons of two segments at most, to bound the time: a random part of the trials is scored.
        seed: of every draw.
    """
    rng = np.random.default_rng(seed)
    items = sample(items, max_size_group, rng)
    groups = starts(items.context, items.speaker, items.phone)
    heads = items.take(groups[:-1])
    blocks = starts(heads.context, heads.speaker)
    edges = groups[blocks]  # the first item of each block
    trials = across_trials(heads, blocks, max_x_across, rng) if across else within_trials(groups, blocks)
    if not trials:
        return AbxScore(math.nan, 0, 1.0)
    costs = np.array([(groups[t.x + 1] - groups[t.x]) * (edges[t.block + 1] - edges[t.block]) for t in trials])
    order = rng.permutation(len(trials))
    fit = max(1, int((costs[order].cumsum() <= max_pairs).sum()))
    chosen = [trials[i] for i in np.sort(order[:fit])]
    jobs = [(slice(groups[t.x], groups[t.x + 1]), slice(edges[t.block], edges[t.block + 1])) for t in chosen]
    errors, keys = [], []
    for trial, distances in zip(chosen, SegmentDistances(items, features).between(jobs), strict=True):
        first, last = blocks[trial.block], blocks[trial.block + 1]
        wrong = trial_errors(distances, groups[first : last + 1] - edges[trial.block], trial.a - first, not across)
        rivals = np.delete(np.arange(first, last), trial.a - first)
        errors.append(np.delete(wrong, trial.a - first))
        a = np.full(len(rivals), trial.a)
        keys.append(np.stack([heads.speaker[a], heads.phone[a], heads.phone[rivals]]))
    cells = np.concatenate(errors)
    return AbxScore(collapse(cells, np.concatenate(keys, 1)), len(cells), fit / len(trials))


def sample(items: AbxItems, size: int, rng: np.random.Generator) -> AbxItems:
    """At most ``size`` items of each (context, speaker, phone), sorted by these three."""
    items = items.take(np.lexsort((rng.permutation(len(items)), items.phone, items.speaker, items.context)))
    groups = starts(items.context, items.speaker, items.phone)
    rank = np.arange(len(items)) - np.repeat(groups[:-1], np.diff(groups))
    return items.take(np.flatnonzero(rank < size))


def starts(*columns: Ints) -> Ints:
    """Where a new combination begins in sorted columns (N,), and N at the end."""
    new = np.any([np.diff(c) != 0 for c in columns], axis=0)
    return np.r_[0, np.flatnonzero(new) + 1, len(columns[0])] if len(columns[0]) else np.zeros(1, np.int64)


def within_trials(groups: Ints, blocks: Ints) -> list[Trial]:
    """Every group of two or more items that has a rival in its block."""
    sizes = np.diff(groups)
    wide = [(b, first, last) for b, (first, last) in enumerate(pairwise(blocks)) if last - first > 1]
    return [Trial(g, g, b) for b, first, last in wide for g in range(first, last) if sizes[g] > 1]


def across_trials(heads: AbxItems, blocks: Ints, most: int, rng: np.random.Generator) -> list[Trial]:
    """Every group that has a rival in its block, with the groups of at most ``most`` other speakers."""
    peers: dict[tuple[int, int], list[int]] = defaultdict(list)
    for g, key in enumerate(zip(heads.context.tolist(), heads.phone.tolist(), strict=True)):
        peers[key].append(g)
    out = []
    for b, (first, last) in enumerate(pairwise(blocks)):
        for a in range(first, last) if last - first > 1 else ():
            others = [g for g in peers[int(heads.context[a]), int(heads.phone[a])] if g != a]
            picked = rng.choice(len(others), most, replace=False) if len(others) > most else range(len(others))
            out.extend(Trial(others[i], a, b) for i in sorted(picked))
    return out


def trial_errors(distances: Tensor, edges: Ints, a: int, same: bool) -> Floats:
    """Error of one X group and one A group against each group of the block.

    Args:
        distances: (X, R) from each X to each item of the block.
        edges: (G + 1,) where its G groups begin and end.
        a: which of them is A's.
        same: X and A are one group: an item is never its own A.

    Returns:
        (G,); the value at ``a`` means nothing.
    """
    near = distances[:, edges[a] : edges[a + 1]]
    pairs = near.numel()
    if same:
        near = near.clone().fill_diagonal_(math.inf)
        pairs -= len(near)
    near, far = near.sort(1).values, distances.contiguous()
    # how many A are strictly nearer to X than this item, and how many as near or nearer: their mean halves the ties
    wins = torch.searchsorted(near, far) + torch.searchsorted(near, far, right=True)
    total = np.add.reduceat(wins.sum(0).double().numpy(), edges[:-1]) / 2
    return 1 - total / (pairs * np.diff(edges))


def collapse(errors: Floats, keys: Ints) -> float:
    """Mean over cells of one key (speaker of A, phone of A, phone of B), over speakers, over pairs of phones."""
    by_speaker, keys = mean_by(errors, keys)
    by_pair, _ = mean_by(by_speaker, keys[1:])
    return float(by_pair.mean())


def mean_by(values: Floats, keys: Ints) -> tuple[Floats, Ints]:
    """Means of values (N,) over equal columns of keys (K, N), and those columns."""
    unique, which = np.unique(keys, axis=1, return_inverse=True)
    which = which.reshape(-1)
    return np.bincount(which, values) / np.bincount(which), unique
