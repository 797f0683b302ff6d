"""Which of several processes this is, and what they tell each other; alone in the world, nothing."""

from __future__ import annotations

import atexit
import os
import socket
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

LAUNCHED = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID")  # what launchers set before processes meet


def first_process() -> bool:
    """Whether this process writes the files of a run: the only one, or the first of several. Known at once."""
    return all(os.environ.get(name, "0") == "0" for name in LAUNCHED)


def join(device: torch.device) -> None:
    """Let the processes that torchrun started find each other; alone, nothing."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not met():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)


def met() -> bool:
    """Whether processes have found each other."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if met() else 0


def world() -> int:
    return dist.get_world_size() if met() else 1


def share_of_work() -> tuple[int, int]:
    """(rank, ranks) among the processes that met; before that, what torchrun says."""
    return (rank(), world()) if met() else (int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def who() -> str:
    """This process for people: "rank 1 of 2 on node-b"; before processes meet, what its launcher told it."""
    told = [f"{name}={os.environ[name]}" for name in LAUNCHED if name in os.environ]
    return f"{f'rank {rank()} of {world()}' if met() else ' '.join(told) or 'one process'} on {socket.gethostname()}"


def broadcast(x: Tensor, source: int) -> Tensor:
    """``x`` of rank ``source``, written into everyone's ``x``."""
    if world() > 1:
        dist.broadcast(x, source)
    return x


def add(x: Tensor) -> Tensor:
    """The sum of every rank's ``x``, written into everyone's ``x``."""
    if world() > 1:
        dist.all_reduce(x)
    return x


def gather(x: Tensor) -> list[Tensor]:
    """Every rank's ``x`` (of one shape and type), by rank, on its device."""
    if world() == 1:
        return [x]
    out = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(out, x)
    return out


def gather_objects(x: Any) -> list[Any]:
    """Every rank's ``x``, anything that pickles, by rank."""
    out = [x] * world()
    if world() > 1:
        dist.all_gather_object(out, x)
    return out


def gather_numbers(numbers: list[int], device: torch.device) -> list[list[int]]:
    """Every rank's ``numbers`` (equally many on each), by rank."""
    return [x.tolist() for x in gather(torch.tensor(numbers, dtype=torch.int64, device=device))]


def lend(thing: Any, source: int) -> Any:
    """``thing`` of rank ``source``, pickled, on every rank; what the others give is not looked at."""
    box = [thing]
    if world() > 1:
        dist.broadcast_object_list(box, source)
    return box[0]


def own(x: Tensor) -> Tensor:
    """The part of ``x`` that this rank holds, in the same memory: all of it, unless ``x`` is sharded."""
    return x.to_local() if hasattr(x, "to_local") else x


def barrier() -> None:
    if world() > 1:
        dist.barrier()
