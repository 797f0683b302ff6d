"""How much a ratio of sums would vary on other data of the same kind."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor

AT_ONCE = 2**20  # groups drawn at a time: 8 MB; no result depends on it


def resampled(table: np.ndarray, groups: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """(draws, C): column sums of ``table`` (N, C) over as many groups as there are, drawn with replacement.

    Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004, section 3:
    utterances are drawn whole, or all utterances of a speaker together, which do not vary independently of one another.

    Args:
        groups: (N,) whose rows are drawn together; all different = utterances.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, table.shape[1]))
    np.add.at(sums, group, table)
    generator = np.random.default_rng(seed)
    size = len(sums)
    found = []
    for start in range(0, draws, at_once := max(1, AT_ONCE // size)):
        drawn = generator.integers(size, size=(min(at_once, draws - start), size))
        places = (drawn + size * np.arange(len(drawn))[:, None]).ravel()
        found.append(np.bincount(places, minlength=drawn.size).reshape(drawn.shape) @ sums)
    return np.concatenate(found)


def percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """The interval that holds ``level`` (0 to 1) of ``values`` (draws,) and leaves as many below as above.

    Values that are nan (a draw without a word in it) are left out; nan where all are.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio_intervals(
    parts: Mapping[str, tuple[Tensor, Tensor]], groups: np.ndarray, draws: int, level: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Confidence interval of each ratio of sums; nan where it is undefined.

    Args:
        parts: name -> what is counted of each utterance, and what it is a share of, both (N,).
        groups, draws, seed: see ``resampled``.
        level: share of the draws within the interval.
    """
    table = np.stack([x.double().numpy() for pair in parts.values() for x in pair], 1)
    sums = resampled(table, groups, draws, seed)
    ratios = sums[:, ::2] / np.where(sums[:, 1::2] > 0, sums[:, 1::2], math.nan)
    return {name: percentiles(ratios[:, i], level) for i, name in enumerate(parts)}
