"""The arithmetic of training: which of Lightning's precision plugins, with which loss scale."""

from __future__ import annotations

from typing import Literal

import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch.amp import GradScaler
from torch.optim import Optimizer

from speechunits import ranks


class SharedScaler(GradScaler):
    """A loss scale for gradients of which each rank holds a part: what overflows on one lowers the scale of all.

    torch's ``ShardedGradScaler`` says the same with a tensor of a shape that fused optimizers refuse.
    """

    def unscale_(self, optimizer: Optimizer) -> None:
        super().unscale_(optimizer)
        for found in self._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values():
            ranks.add(found)


def precision_plugin(
    precision: Literal["32-true", "bf16-mixed", "16-mixed"], device: str, sharded: bool = False
) -> Precision:
    """Made here, because Lightning would train in bf16 where fp16 on a CPU is asked for, and refuses fp16 on shards.

    Args:
        precision: autocast's type beside float32 weights; fp16 comes with a loss scale.
        device: "cuda" or "cpu".
        sharded: the gradients of each rank are other parts of the whole: an overflow on one lowers the scale of all.
    """
    if precision == "32-true":
        return Precision()
    scaler = (SharedScaler if sharded else GradScaler)(device) if precision == "16-mixed" else None
    return MixedPrecision(precision, device, scaler)


def unscale(scaler: GradScaler, optimizer: Optimizer, device: torch.device) -> None:
    """``scaler.unscale_``, also on a rank that has scaled no loss yet because its audio is still to come."""
    scaler.scale(torch.zeros((), device=device))
    scaler.unscale_(optimizer)
