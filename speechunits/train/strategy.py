"""Data-parallel training without DDP's hooks: the module sums the gradients of a window itself."""

from __future__ import annotations

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy


class WindowDDP(DDPStrategy):
    """Lightning's launcher, process group and checkpoint rules of DDP around an unwrapped model.

    Parameters and buffers are copied from rank 0 at the start. Afterwards ``TrainModule`` sums gradients once a window
    (``gradients.sum_over_ranks``), so layer drop, unequal micro-batches and empty ones need no unused-parameter search.
    """

    def configure_ddp(self) -> None:
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), 0)
