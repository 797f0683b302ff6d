"""Which of several processes this is, and what they tell each other; alone in the world, nothing."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from speechunits import slurm
from speechunits.errors import UserError

LAUNCHED = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK")  # what torchrun and Lightning set before processes meet


def first_process() -> bool:
    """Whether this process writes the files of a run: the only one, or the first of several. Known at once."""
    if "RANK" in os.environ:  # torchrun's word counts, also under srun, whose first node may not have rank 0
        return os.environ["RANK"] == "0"
    return slurm.task() == 0 and all(os.environ.get(name, "0") == "0" for name in LAUNCHED)


def launched() -> tuple[int, int]:
    """(rank, ranks) as torchrun, or else srun, says; known before processes meet."""
    if "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return slurm.task(), slurm.tasks()


def on_node() -> int | None:
    """The number of this process among those of its machine, so the number of its GPU; None: nobody started several."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    return slurm.task_on_node() if slurm.tasks() > 1 else None


def join(device: torch.device) -> None:
    """Let the processes that torchrun or srun started find each other; alone, nothing.

    Raises:
        UserError: as ``meeting``.
    """
    number, several = launched()
    if several > 1 and not met():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with meeting():
            dist.init_process_group(backend, rank=number, world_size=several)
        atexit.register(dist.destroy_process_group)


@contextlib.contextmanager
def meeting() -> Iterator[None]:
    """Around the call in which processes find each other, at MASTER_ADDR and MASTER_PORT or where srun's tasks do.

    Raises:
        UserError: the place has no address, another program listens there, or nobody answers.
    """
    if "RANK" not in os.environ and slurm.tasks() > 1:
        host, port = slurm.meeting_place()
        os.environ |= {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
        try:
            socket.getaddrinfo(host, port)
        except OSError as error:  # torch would go on asking for half an hour
            raise UserError(
                f"{host}: the first node of this job has no address here ({error.strerror}); set MASTER_ADDR to one"
            ) from error
    try:
        yield
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        if "EADDRINUSE" in str(error):
            raise UserError(
                f"{place}: another program listens on this port of {socket.gethostname()}, so the processes cannot meet "
                "there; set MASTER_PORT to a free one"
            ) from error
        raise UserError(
            f"{place}: rank {launched()[0]} on {socket.gethostname()} did not meet the others there "
            f"({str(error).splitlines()[0]}); see whether all were started and that host can be reached"
        ) from error


def met() -> bool:
    """Whether processes have found each other."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if met() else 0


def world() -> int:
    return dist.get_world_size() if met() else 1


def share_of_work() -> tuple[int, int]:
    """(rank, ranks) among the processes that met; before that, what their launcher says."""
    return (rank(), world()) if met() else launched()


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
