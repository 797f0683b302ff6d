"""Heads whose input is their output, and sums over all paths, one by one, in float64."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.seq import Seq, pad

Text = tuple[int, ...]
HOP = Fraction(1, 50)


class Scores(nn.Module):
    """A CTC head whose input is its output."""

    def scores(self, x: Seq) -> Seq:
        return x


def chances(seed: int, frames: int, kinds: int, sharp: float = 2.0) -> Tensor:
    """(T, V + 1) float64 log-probabilities."""
    g = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(frames, kinds, generator=g, dtype=torch.float64)).log_softmax(-1)


def batch(*rows: Tensor) -> Seq:
    return pad(rows, HOP)


def ctc_texts(x: Tensor) -> dict[Text, float]:
    """Log-probability of every text: all (V + 1)^T paths."""
    blank, terms = x.size(1) - 1, defaultdict(list)
    for path in itertools.product(range(blank + 1), repeat=len(x)):
        text = tuple(s for s, _ in itertools.groupby(path) if s != blank)
        terms[text].append(sum(float(x[t, s]) for t, s in enumerate(path)))
    sums = {text: math.fsum(map(math.exp, each)) for text, each in terms.items()}
    return {text: math.log(value) for text, value in sums.items() if value}


def ranked(texts: dict[Text, float]) -> list[Text]:
    return sorted(texts, key=lambda text: -texts[text])
