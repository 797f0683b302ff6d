"""Descent: one optimizer with its schedule, clip and loss scale, from summed gradients to moved weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from speechunits.train.gradients import sum_over_ranks
from speechunits.train.precision import unscale
from speechunits.train.shards import Shards

MakeOptimizer = Callable[[Iterable[tuple[str, nn.Parameter]]], Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]


class Descent:
    """What moves one set of weights; every rank must make the same calls.

    Args:
        optimizer: holds the parameters (of sharded ones the pieces).
        schedule: Optimizer -> LRScheduler, moved by ``advance``; None = a constant learning rate.
        clip: largest norm of the gradient over all of its parameters; None leaves it alone.
        scaler: of an fp16 loss; None = no scaling.
        shards: which parameters are pieces of sharded ones.
        name: begins the names of its figures: "discriminator/" or nothing.
        revocable: ``take_back`` undoes a step until ``advance`` confirms it, for which weights and optimizer state are copied
            before each.

    Attributes:
        loss, norm, lr: of the last ``move``: the loss of the whole update, the gradient's norm before clipping, the rate.
        searching: the last ``move`` failed of an overflow in fp16 alone, and a lower scale may do.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: MakeSchedule | None = None,
        clip: float | None = None,
        scaler: GradScaler | None = None,
        shards: Shards | None = None,
        name: str = "",
        revocable: bool = False,
    ) -> None:
        self.optimizer, self.schedule = optimizer, None if schedule is None else schedule(optimizer)
        self.clip, self.scaler, self.name, self.revocable = clip, scaler, name, revocable
        self.loss = self.norm = self.lr = 0.0
        self.searching = False
        self._shards = shards or Shards()
        self._before: tuple[list[Tensor], dict[str, Any]] | None = None

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of ``loss``, a micro-batch's share of the whole update's."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def move(self, share: Tensor) -> bool:
        """Sum gradients over ranks, clip and step; False, and nothing has moved, where loss or gradient are not finite.

        Without a gradient on any rank it succeeds and moves nothing.

        Args:
            share: this rank's part of the loss, a scalar.
        """
        optimizer, parameters = self.optimizer, self.parameters
        self.lr = float(optimizer.param_groups[0]["lr"])
        self._shards.collect()
        total = sum_over_ranks([p for p in parameters if p not in self._shards], share)
        resting = all(p.grad is None for p in parameters)
        scaler = None if resting else self.scaler
        if scaler is not None:
            unscale(scaler, optimizer, total.device)
        norm = self._shards.norm(parameters).to(total.device)
        # the one wait for the device: whether the weights may move decides everything that follows
        finite = norm.isfinite() & total.isfinite()
        may, self.norm, self.loss = torch.stack([finite.double(), norm.double(), total]).tolist()
        if may:
            if self.revocable and not resting:
                self._before = [p.detach().clone() for p in parameters], copy.deepcopy(optimizer.state_dict())
            if self.clip is not None:
                clip_grads_with_norm_(parameters, self.clip, norm)
            optimizer.step() if scaler is None else scaler.step(optimizer)
        self.searching = not may and scaler is not None and scaler.get_scale() > 1 and math.isfinite(self.loss)
        if scaler is not None:
            scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return bool(may)

    def advance(self) -> None:
        """The update is complete: the schedule moves, and what ``move`` did stays."""
        self._before = None
        if self.schedule is not None:
            self.schedule.step()

    @torch.no_grad()
    def take_back(self) -> None:
        """Weights and optimizer are what they were before the last ``move``, bit for bit; the loss scale stays."""
        if self._before is not None:
            weights, state = self._before
            for parameter, weight in zip(self.parameters, weights, strict=True):
                parameter.copy_(weight)
            self.optimizer.load_state_dict(state)
            self._before = None

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Gradients pass through its weights and leave none there."""
        trained = [p for p in self.parameters if p.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)

    def figures(self) -> dict[str, float]:
        """Of the last ``move``."""
        return {f"{self.name}loss": self.loss, f"{self.name}lr": self.lr, f"{self.name}grad_norm": self.norm}
