"""Data-parallel training without DDP's hooks: the module sums the gradients of a window itself."""

from __future__ import annotations

import os
from typing import Any

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy

from speechunits import ranks


class WindowDDP(DDPStrategy):
    """Lightning's launcher, process group and checkpoint rules of DDP around an unwrapped model.

    Parameters and buffers are copied from rank 0 at the start. Afterwards ``Descent`` sums gradients once a window
    (``gradients.sum_over_ranks``), so layer drop, unequal micro-batches and empty ones need no unused-parameter search.
    """

    def setup_distributed(self) -> None:
        with ranks.meeting():
            super().setup_distributed()

    def configure_ddp(self) -> None:
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), 0)

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What rank 0 chose, on every rank: a folder on several machines may not look the same at the same time."""
        return super().load_checkpoint(self.broadcast(checkpoint_path), weights_only)
