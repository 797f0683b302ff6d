"""Sums by name over ranks, where a rank may not know every name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from speechunits import ranks


class RankSum:
    """Sum named scalars over all ranks in float64: one collective a call.

    A rank whose micro-batches were all empty knows no names, and a term may first appear on one rank only. So the
    vector that is reduced carries one flag more, "I hold a name that is not in the list"; when any rank raises it, all
    of them exchange names once and reduce again. Every rank takes the same branches, so nobody hangs.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, values: Mapping[str, Tensor | float], device: torch.device) -> dict[str, Tensor]:
        """Scalars of this rank -> sums over ranks, float64 scalars on ``device``; every rank gets every name."""
        own = {name: torch.as_tensor(value).detach().to(device, torch.float64) for name, value in values.items()}
        if not ranks.met():
            return own
        zero = torch.zeros((), dtype=torch.float64, device=device)
        while True:
            stranger = zero + any(name not in self.names for name in own)
            vector = torch.stack([*(own.get(name, zero) for name in self.names), stranger])
            dist.all_reduce(vector)
            if not vector[-1].item():
                return dict(zip(self.names, vector.unbind(), strict=False))
            everyone: list[list[str]] = [[] for _ in range(ranks.world())]
            dist.all_gather_object(everyone, list(own))
            self.names = sorted({*self.names, *(name for names in everyone for name in names)})
