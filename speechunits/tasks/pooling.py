"""One vector for an utterance from its frames."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.seq import Seq

POOLS = ("mean", "mean+std")


def pool(frames: Seq, how: str) -> Tensor:
    """Statistics over the real frames of each utterance: (B, T, D) -> (B, D), or (B, 2 D) with "mean+std".

    The deviation is that of the frames themselves (divided by T), so one frame has 0. Sums are taken in float64.

    Raises:
        ValueError: ``how`` is none of ``POOLS``, or an utterance has no frame.
    """
    if how not in POOLS:
        raise ValueError(f"pool '{how}': there are {' and '.join(POOLS)}")
    if bool((frames.lengths < 1).any()):
        raise ValueError("an utterance without a frame has no mean; leave utterances this short out")
    real, n = frames.valid[..., None], frames.lengths[:, None].double()
    x = torch.where(real, frames.data.double(), 0.0)
    mean = x.sum(1) / n
    if how == "mean":
        return mean.float()
    spread = torch.where(real, x - mean[:, None], 0.0).square().sum(1) / n
    return torch.cat([mean, spread.sqrt()], -1).float()
