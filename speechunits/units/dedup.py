"""Merge runs of equal units, and spell them out again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.units.units import Units


class Dedup(nn.Module):
    """Runs of equal units become one unit with a duration ("reduced" units; Lee et al. 2022, section 3.1).

    With several codebooks a run ends where any of them changes. Also a step of ``ReducedUnitsField``.
    """

    def forward(self, units: Units) -> Units:
        """Units at a hop -> units without one, durations in frames. Nothing is lost: ``expand`` undoes it."""
        if units.durations is not None:
            raise ValueError("these units are merged already")
        rows, counts = [], []
        for ids, n in zip(units.ids.data, units.ids.lengths.tolist(), strict=True):
            merged, count = self.shorten(ids[:n], torch.ones_like(ids[:n, 0]))
            rows.append(merged)
            counts.append(count)
        return replace(units, ids=pad(rows, None), durations=pad(counts, units.ids.hop))

    @staticmethod
    def over(stream: Stream) -> Stream:
        """See ``UnitStep``."""
        return replace(stream, hop=None, fingerprint=f"{stream.fingerprint}+dedup")

    @staticmethod
    def shorten(units: Tensor, frames: Tensor, random: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(T,) or (T, K) units and (T,) frames of each -> one of each run, and the frames of the run."""
        if not len(units):
            return units, frames
        rows = units.reshape(len(units), -1)
        change = (rows[1:] != rows[:-1]).any(-1)
        starts = torch.cat([change.new_ones(1), change]).nonzero()[:, 0]
        return units[starts], joined(frames, torch.diff(starts, append=starts.new_tensor([len(units)])))

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


def joined(frames: Tensor, counts: Tensor) -> Tensor:
    """(T,) frames of units, and how many units (N,) become one each -> (N,) frames of those."""
    ends = torch.cat([frames.new_zeros(1), frames.cumsum(0)])[counts.cumsum(0)]
    return torch.diff(ends, prepend=frames.new_zeros(1))
