"""Runs of equal units: where they begin and how long they last, and how they last at another speed."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.seq import Seq, pad, unpad
from speechunits.units.dedup import Dedup


def inner_runs(units: Seq) -> tuple[Seq, Seq]:
    """Units of all frames, (B, T) or (B, T, K) -> where runs begin (B, N), and their frames (B, N) at the units' hop.

    The first and the last run of an utterance are left out, since a segment may have cut them; of an utterance with two at
    most all are kept (fairseq's ``process_duration``).
    """
    starts, counts = [], []
    for ids in unpad(units):
        _, frames = Dedup.shorten(ids, ids.new_ones(len(ids)))
        inner = slice(1, -1) if len(frames) > 2 else slice(None)
        starts.append((frames.cumsum(0) - frames)[inner])
        counts.append(frames[inner])
    device = units.data.device
    return pad(starts, None).to(device), pad(counts, units.hop).to(device)


def paced(frames: Tensor, speed: float) -> Tensor:
    """(N,) frames of units -> (N,) at ``speed`` times the pace. What ends at frame t ends at t / speed, rounded, so that
    nothing adds up; a short unit may vanish, all of them never.
    """
    ends = (frames.cumsum(0).double() / speed).round().long().clamp(min=1)
    return torch.diff(ends, prepend=ends.new_zeros(1))
