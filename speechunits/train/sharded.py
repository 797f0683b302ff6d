"""Training with sharded weights: FSDP2 for the blocks of encoders, whole copies of the rest."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.utilities.optimizer import _optimizer_to_device
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.protocols import Batch
from speechunits.train.lockstep import Lockstep
from speechunits.train.shards import Shards, on_first, split_like


class WindowFSDP(ModelParallelStrategy):
    """Every block that says it is ``shardable`` is sharded over all ranks, in the student and in its teacher alike.

    A rank keeps 1 / ranks of each block's weights, gradients and optimizer state, and gathers a block when a pass comes
    to it. Student and teacher are sharded by one plan, so that a moving average is taken piece by piece. Frontend,
    projection, masks, heads (2 % of HuBERT xlarge) and buffers such as codebooks stay whole on every rank and are summed as
    under ``WindowDDP``: unused parameters and unequal micro-batches are no matter there; see ``Lockstep`` for the blocks.

    Weights are gathered in float32; mixed precision is autocast's, as under DDP. Checkpoints hold whole weights and
    optimizer states by name, written by rank 0: they are those of one process and of DDP.

    Args:
        processes: on all nodes.
        backend: torch.distributed's; None = nccl on GPUs, gloo on CPUs.
        timeout: how long ranks wait for each other; None = torch.distributed's own.
    """

    def __init__(self, processes: int, backend: str | None = None, timeout: timedelta | None = None) -> None:
        super().__init__(
            processes, 1, save_distributed_checkpoint=False, process_group_backend=backend, timeout=timeout
        )
        self.shards = Shards()
        self._lockstep: Lockstep | None = None
        self._blocks: list[Any] = []
        self._empty: nn.Module | None = None

    def setup_environment(self) -> None:
        with ranks.meeting():
            super().setup_environment()

    @torch.no_grad()
    def shard(self, model: nn.Module) -> None:
        """Shard ``model``, whole and on the CPU, in place; every rank ends with the weights of rank 0.

        Raises:
            UserError: no block of it can be sharded.
        """
        blocks = [module for module in model.modules() if getattr(module, "shardable", False)]
        if not blocks:
            raise UserError(
                f"trainer.strategy=fsdp: {type(model).__name__} has no block to shard (an encoder of TransformerLayer has); "
                "give trainer.strategy=ddp"
            )
        for tensor in [*model.parameters(), *model.buffers()]:
            there = tensor.detach().to(self.root_device)
            dist.broadcast(there, 0)
            tensor.copy_(there)
        # what `whole` fills: all of the model but the weights
        weightless = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in model.parameters()}
        self._empty = copy.deepcopy(model, weightless)
        mesh = self.device_mesh["data_parallel"]
        for block in blocks:
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
            block.set_gradient_divide_factor(1.0)  # gradients are summed: counts are already those of all ranks
            block.set_force_sum_reduction_for_comms(True)  # by a plain sum, the only one that gloo has
        inside = {p for block in blocks for p in block.parameters()}
        fully_shard(model, mesh=mesh, ignored_params={p for p in model.parameters() if p not in inside})
        for method in ("terms", "predict"):  # FSDP2's root must see every pass begin
            if hasattr(model, method):
                register_fsdp_forward_method(model, method)
        self._blocks = blocks
        self._lockstep = Lockstep(model, self.broadcast(torch.initial_seed()))

    def passes(self, batches: Sequence[Batch], window: int) -> Iterator[tuple[Batch, float]]:
        """See ``Lockstep.passes``."""
        assert self._lockstep is not None
        return self._lockstep.passes(batches, window, self.root_device)

    def hold(self) -> None:
        """Gather all blocks until ``release``: passes then communicate nothing, so each rank makes as many as it likes."""
        for block in self._blocks:
            block.set_reshard_after_forward(False, recurse=False)
            block.unshard()

    def release(self) -> None:
        for block in self._blocks:
            block.set_reshard_after_forward(True, recurse=False)
            block.reshard()

    def whole(self, model: nn.Module) -> nn.Module:
        """A copy of ``model`` with all of its weights on the CPU of rank 0, without any elsewhere; every rank must call it."""
        assert self._empty is not None
        weights = {name: on_first(tensor) for name, tensor in model.state_dict().items()}
        if self.is_global_zero:
            self._empty.load_state_dict(weights, assign=True)
        return self._empty

    # -------------------------------------------------------------------------- checkpoints, which Lightning would shard

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        state = {name: on_first(tensor) for name, tensor in self.lightning_module.state_dict().items()}
        return state if self.is_global_zero else {}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        here: dict[str, Tensor] = self.lightning_module.state_dict()
        state = {
            name: split_like(tensor, like) if isinstance(like := here.get(name), DTensor) else tensor
            for name, tensor in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return self.shards.whole_state(optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(self.shards.own_state(optimizer, state))
            _optimizer_to_device(optimizer, self.root_device)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None) -> None:
        super(ModelParallelStrategy, self).save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        chosen = self.broadcast(checkpoint_path)  # as WindowDDP does
        return super(ModelParallelStrategy, self).load_checkpoint(chosen, weights_only)
