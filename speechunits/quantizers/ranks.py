"""What the processes of one k-means fit tell each other; alone in the world, nothing."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def broadcast(x: Tensor, source: int) -> Tensor:
    """``x`` of rank ``source``, written into everyone's ``x``."""
    if world() > 1:
        dist.broadcast(x, source)
    return x


def gather(numbers: list[int], device: torch.device) -> list[list[int]]:
    """Every rank's ``numbers`` (equally many on each), by rank."""
    own = torch.tensor(numbers, dtype=torch.int64, device=device)
    if world() == 1:
        return [own.tolist()]
    out = [torch.empty_like(own) for _ in range(world())]
    dist.all_gather(out, own)
    return [x.tolist() for x in out]


def barrier() -> None:
    if world() > 1:
        dist.barrier()
