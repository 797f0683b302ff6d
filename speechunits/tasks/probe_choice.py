"""ProbeChoice: which features and which strength, decided without the speakers that the answer is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from speechunits.tasks.linear_probe import LinearProbe


@dataclass(frozen=True)
class ProbeChoice:
    """The candidate and strength with the best mean accuracy on speakers held out of the training ones.

    Args:
        candidate: name of the features.
        l2: strength of the probe.
        accuracies: (candidate, l2) -> mean accuracy over the held-out parts, of everything tried.
    """

    candidate: str
    l2: float
    accuracies: Mapping[tuple[str, float], float]


def choose(
    candidates: Mapping[str, Tensor],
    labels: Tensor,
    speakers: Sequence[str],
    classes: int,
    strengths: Sequence[float],
    parts: Sequence[Sequence[str]],
) -> ProbeChoice:
    """Cross-validate every candidate and strength over ``parts`` of the speakers.

    Args:
        candidates: name -> (N, D) vectors of the training utterances.
        labels: (N,).
        speakers: of the N utterances.
        classes: number of labels.
        strengths: values of ``l2`` to try.
        parts: each is held out once, the probe is fitted on all others.

    Raises:
        ValueError: fewer than two parts, or a part that leaves nobody to learn from or to test on.
    """
    names = np.array(speakers)
    if len(parts) < 2:
        raise ValueError("choosing needs at least two parts of the training speakers; give more speakers")
    held = [torch.from_numpy(np.isin(names, list(part))) for part in parts]
    if any(not bool(h.any()) or bool(h.all()) for h in held):
        raise ValueError(f"{parts}: each part must name some, not all, of the speakers {sorted(set(speakers))}")
    found: dict[tuple[str, float], float] = {}
    for name, x in candidates.items():
        scores: dict[float, list[float]] = {strength: [] for strength in strengths}
        for h in held:
            probe = LinearProbe(x.size(1), classes)
            for strength in sorted(strengths, reverse=True):  # each solution is a good start for the next, weaker one
                probe.l2 = strength
                scores[strength].append(probe.fit(x[~h], labels[~h]).accuracy(x[h], labels[h]))
        found |= {(name, strength): fmean(values) for strength, values in scores.items()}
    candidate, l2 = max(found, key=lambda key: found[key])
    return ProbeChoice(candidate, l2, found)


def speaker_parts(speakers: Sequence[str], parts: int, seed: int) -> list[list[str]]:
    """The different speakers dealt out to ``parts`` parts of like size.

    All but the first change places by ``seed`` as in a round-robin tournament: of four speakers, seeds 0, 1 and 2 give
    all three ways to make two pairs.
    """
    first, *others = sorted(set(speakers))
    turn = seed % len(others) if others else 0
    order = [first, *others[turn:], *others[:turn]]
    return [sorted(order[i::parts]) for i in range(min(parts, len(order)))]
