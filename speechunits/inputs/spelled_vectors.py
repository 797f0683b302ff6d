"""SpelledVectors: vectors of subwords that know what units they are made of."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.units.unit_bpe import UnitBPE


class SpelledVectors(nn.Module):
    """A subword's vector: those of its units, added up and divided by the root of their number, and one of its own.

    So what is learned of a unit serves all subwords that hold it, as words share n-grams of letters in Bojanowski et al. 2017,
    arXiv:1607.04606, section 3.2. Its own vector begins at zero.

    Args:
        spelling: the subwords.
        dim: of the vectors.
    """

    def __init__(self, spelling: UnitBPE, dim: int) -> None:
        super().__init__()
        self.spelling = spelling
        self.units, self.own = nn.Embedding(spelling.units, dim), nn.Embedding(spelling.size, dim)
        nn.init.zeros_(self.own.weight)

    @cached_property
    def _spelled(self) -> tuple[Tensor, Tensor]:
        """The units of all subwords in a row (N,), and how many each has (V,)."""
        spelled = [self.spelling.decode(torch.tensor([i])) for i in range(self.spelling.size)]
        return torch.cat(spelled), torch.tensor([len(units) for units in spelled])

    def forward(self, ids: Tensor) -> Tensor:
        """(...) int64 subwords -> (..., dim)."""
        units, counts = (x.to(ids.device) for x in self._spelled)
        starts = counts.cumsum(0) - counts
        shared = F.embedding_bag(units, self.units.weight, starts, mode="sum") / counts.sqrt()[:, None]
        return F.embedding(ids, shared + self.own.weight)
