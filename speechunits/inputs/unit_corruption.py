"""Unit corruption: some units are heard as others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from speechunits.draws import Draws
from speechunits.seq import Seq


class UnitCorruption(nn.Module):
    """Each unit is replaced with probability ``share`` by another one of its codebook, all others being equally likely.

    Drawn per utterance from (seed, epoch, cut id, purpose): batch-mates change nothing.

    Args:
        share: of the units.

    Raises:
        ValueError: out of range.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share = {share}: give a share between 0 and 1")
        self.share = share

    def forward(self, units: Seq, vocab: Sequence[int], draws: Draws, purpose: str = "corruption") -> Seq:
        """(B, T, K) ids and codes per codebook -> ids with some replaced; padding stays."""
        sizes = np.array(vocab)
        data = units.data.cpu().numpy().copy()
        for row, n, random in zip(data, units.lengths.tolist(), draws.generators(purpose), strict=True):
            chosen = random.random((n, len(sizes))) < self.share
            further = random.integers(
                1, np.maximum(sizes, 2), (n, len(sizes))
            )  # around the codebook, never all the way
            row[:n] = np.where(chosen, (row[:n] + further) % sizes, row[:n])
        return units.with_data(torch.from_numpy(data).to(units.data.device))
