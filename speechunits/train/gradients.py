"""The sum of gradients over ranks, made once at the end of a window instead of by DDP's hooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from speechunits import ranks

BUCKET_BYTES = 64 * 2**20


def _buckets(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Consecutive tensors of one dtype, up to ``BUCKET_BYTES`` each; the same on every rank."""
    by_dtype: defaultdict[torch.dtype, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        by_dtype[tensor.dtype].append(tensor)
    out: list[list[Tensor]] = []
    for group in by_dtype.values():
        size = BUCKET_BYTES
        for tensor in group:
            if size + tensor.nbytes > BUCKET_BYTES:
                out.append([])
                size = 0
            out[-1].append(tensor)
            size += tensor.nbytes
    return out


@torch.no_grad()
def sum_over_ranks(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Replace every ``.grad`` by its sum over ranks; returns the summed loss (float64 scalar).

    A parameter that some ranks used and this one did not (a skipped layer, an empty micro-batch) counts as zero here;
    one that nobody used keeps ``.grad`` None, exactly as with one rank, so the optimizer leaves it alone. DDP's hooks
    reduce whatever order the backward pass takes and wait for parameters that a rank never touches; one reduction
    after the last backward pass can do neither, at the price of not overlapping with it.
    """
    if not ranks.met():
        return loss.detach().double()
    used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float64, device=loss.device)
    vector = torch.cat([loss.detach().double().reshape(1), used])
    dist.all_reduce(vector)
    shared = [p for p, count in zip(parameters, vector[1:].tolist(), strict=True) if count]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    works = []
    for bucket in _buckets(p.grad for p in shared if p.grad is not None):
        flat = torch.cat([grad.reshape(-1) for grad in bucket])
        works.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in works:
        work.wait()
        for grad, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            grad.copy_(part.view_as(grad))
    return vector[0]
