"""Merge runs of equal units, and spell them out again."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from speechunits.seq import pad
from speechunits.units.units import Units


class Dedup(nn.Module):
    """Runs of equal units become one unit with a duration ("reduced" units; Lee et al. 2022, section 3.1).

    With several codebooks a run ends where any of them changes.
    """

    def forward(self, units: Units) -> Units:
        """Units at a hop -> units without one, durations in frames. Nothing is lost: ``expand`` undoes it."""
        if units.durations is not None:
            raise ValueError("these units are merged already")
        rows, counts = [], []
        for ids, n in zip(units.ids.data, units.ids.lengths.tolist(), strict=True):
            merged, count = _runs(ids[:n])
            rows.append(merged)
            counts.append(count)
        return replace(units, ids=pad(rows, None), durations=pad(counts, units.ids.hop))

    @staticmethod
    def expand(units: Units) -> Units:
        """Repeat each unit for its duration: (B, T, K) at the hop of the durations."""
        if units.durations is None:
            return units
        rows = [
            ids[:n].repeat_interleave(d[:n], 0)
            for ids, d, n in zip(units.ids.data, units.durations.data, units.ids.lengths.tolist(), strict=True)
        ]
        return replace(units, ids=pad(rows, units.durations.hop), durations=None)


def _runs(ids: Tensor) -> tuple[Tensor, Tensor]:
    """(T, K) -> merged (T', K) and frames of each (T',)."""
    if not len(ids):
        return ids, ids.new_zeros(0)
    starts = torch.cat([ids.new_ones(1, dtype=torch.bool), (ids[1:] != ids[:-1]).any(-1)]).nonzero()[:, 0]
    return ids[starts], torch.diff(starts, append=starts.new_tensor([len(ids)]))
