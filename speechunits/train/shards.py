"""Shards: sharded parameters as the plain pieces of them that this process holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from speechunits import ranks


class Shards:
    """Which tensors of an optimizer are pieces of sharded parameters; where none is, everything is as without this class.

    FSDP2 keeps a sharded parameter as a DTensor, and no operation takes DTensors and tensors together: optimizers that move
    many parameters in one call fail on a model of which only the blocks are sharded. So the optimizer is given *pieces*:
    plain parameters in the memory of the DTensor's local part. It then works as it does on whole parameters.
    """

    def __init__(self) -> None:
        self._whole: dict[nn.Parameter, DTensor] = {}

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._whole

    def piece(self, parameter: nn.Parameter) -> nn.Parameter:
        """What the optimizer moves in the place of ``parameter``: itself where it is not sharded."""
        if not isinstance(parameter, DTensor):
            return parameter
        piece = nn.Parameter(parameter.to_local().detach(), requires_grad=parameter.requires_grad)
        self._whole[piece] = parameter
        return piece

    def collect(self) -> None:
        """Hand the gradients of sharded parameters, summed over ranks by the backward pass, to their pieces."""
        for piece, whole in self._whole.items():
            piece.grad, whole.grad = None if whole.grad is None else whole.grad._local_tensor, None

    def norm(self, parameters: list[nn.Parameter]) -> Tensor:
        """The norm of the gradient of the whole model, from pieces and from what every rank has; all ranks must call it."""
        alike = get_total_norm([p.grad for p in parameters if p.grad is not None and p not in self])
        if not self._whole:
            return alike
        pieces = get_total_norm([p.grad for p in parameters if p.grad is not None and p in self])
        square = ranks.add(pieces.to(parameters[0].device, torch.float64).square())
        return (square + alike.to(square).square()).sqrt()

    def whole_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """``optimizer.state_dict()`` of whole parameters, on the CPU of rank 0; empty elsewhere. All ranks must call it."""
        state = optimizer.state_dict()
        of = self._in_order(optimizer)
        for index, entries in state["state"].items():
            state["state"][index] = {name: self._joined(of[index], value) for name, value in entries.items()}
        return state if ranks.rank() == 0 else {}

    def own_state(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """This rank's part of what ``whole_state`` gave."""
        of = self._in_order(optimizer)
        cut = {
            index: {name: self._cut(of[index], value) for name, value in entries.items()}
            for index, entries in state["state"].items()
        }
        return {**state, "state": cut}

    def _in_order(self, optimizer: Optimizer) -> list[DTensor | None]:
        return [self._whole.get(p) for group in optimizer.param_groups for p in group["params"]]

    @staticmethod
    def _joined(whole: DTensor | None, value: Any) -> Any:
        """``value`` of a piece; counts of steps and what belongs to no shard stay as they are."""
        if whole is None or not isinstance(value, Tensor) or value.dim() == 0:
            return value
        like = {"run_check": False, "shape": whole.shape, "stride": whole.stride()}
        return on_first(DTensor.from_local(value, whole.device_mesh, whole.placements, **like))  # type: ignore[arg-type]

    @staticmethod
    def _cut(whole: DTensor | None, value: Any) -> Any:
        if whole is None or not isinstance(value, Tensor) or value.dim() == 0:
            return value
        return split_like(value, whole).to_local()


def on_first(tensor: Tensor) -> Tensor:
    """The whole of ``tensor`` on the CPU of rank 0, an empty one elsewhere; all ranks must call it where it is sharded."""
    found = tensor.detach().full_tensor() if isinstance(tensor, DTensor) else tensor.detach()
    return found.cpu() if ranks.rank() == 0 else found.new_empty(0)


def split_like(tensor: Tensor, like: DTensor) -> DTensor:
    """``tensor``, which every rank has whole, sharded as ``like``; nothing is communicated."""
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
