"""The most probable path of a CTC head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import find_head
from speechunits.decode.hypothesis import Hypothesis
from speechunits.seq import Seq, unpad


class Greedy:
    """Best path decoding (Graves et al. 2006, section 3.2): the likeliest symbol of each frame, runs merged, no blanks.

    ``score`` is that of the path; the confidence of a symbol is the mean probability of the frames that say it.

    Args:
        head: name of the CTC head; None = the first one that has scores for each frame.
    """

    def __init__(self, head: str | None = None) -> None:
        self.head = head

    def __call__(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name = find_head(heads, "scores", "Greedy", self.head)
        scores = heads[name].scores(heard[name])  # type: ignore[operator]
        return [[read(row)] for row in unpad(scores.with_data(scores.data.detach().cpu()))]


def read(scores: Tensor) -> Hypothesis:
    """Log-probabilities (T, V + 1), the blank last -> the hypothesis of the best path."""
    blank = scores.size(-1) - 1
    best, path = scores.max(-1)
    symbols, counts = torch.unique_consecutive(path, return_counts=True)
    edges = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    spans = torch.stack([edges[:-1], edges[1:]], -1)
    said = symbols != blank
    sure = [float(best[a:b].exp().mean()) for a, b in spans[said].tolist()]
    return Hypothesis(symbols[said], float(best.sum()), spans[said], torch.tensor(sure))
