"""Moving averages of weights: a copy that follows its original slowly."""

from __future__ import annotations

import copy

import torch
from torch import nn

from speechunits import ranks


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, decay: float, copied: tuple[str, ...] = ()) -> None:
    """slow <- decay * slow + (1 - decay) * fast, for every parameter; buffers are copied.

    Args:
        slow, fast: of the same parts; where they are sharded, then alike.
        copied: beginnings of the names of parameters that are copied too.
    """
    mine, theirs = ({name: ranks.own(p) for name, p in module.named_parameters()} for module in (slow, fast))
    averaged = [name for name in mine if not name.startswith(copied)]
    torch._foreach_lerp_([mine[n] for n in averaged], [theirs[n].data for n in averaged], 1 - decay)
    for name in mine.keys() - set(averaged):
        mine[name].copy_(theirs[name])
    for own, other in zip(slow.buffers(), fast.buffers(), strict=True):
        own.copy_(other)


class MovingAverage(nn.Module):
    """An exponential moving average of a module's weights, in evaluation mode and without gradient.

    After update n: average <- d * average + (1 - d) * weights with d = min(``decay``, (1 + n) / (10 + n)), the warm-up of
    TensorFlow's ``ExponentialMovingAverage(num_updates)``, so that the first weights are soon forgotten.

    Args:
        decay: d in the end.
        of: what is averaged.

    Attributes:
        module: the copy.

    Raises:
        ValueError: the decay is not between 0 and 1.
    """

    def __init__(self, decay: float, of: nn.Module) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"average={decay}: a decay lies between 0 and 1, 1 excluded; null is without an average")
        self.decay = decay
        self._of = (of,)  # in a tuple: a reference, no part of this module
        self.module = copy.deepcopy(of).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> MovingAverage:
        """Stay in evaluation mode."""
        return super().train(False)

    def on_step(self, step: int, root: nn.Module) -> None:
        """Move after update ``step``."""
        follow(self.module, self._of[0], min(self.decay, (1 + step) / (10 + step)))
