"""How much a ratio of sums would vary on other data of the same kind."""

from __future__ import annotations

import math

import numpy as np


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
    return np.stack([np.bincount(generator.integers(size, size=size), minlength=size) @ sums for _ in range(draws)])


def percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """The interval that holds ``level`` (0 to 1) of ``values`` (draws,) and leaves as many below as above.

    Values that are nan (a draw without a word in it) are left out; nan where all are.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
