"""Train low-rank changes of projections."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from speechunits.config import build
from speechunits.part import node_of
from speechunits.tuning.layers import transformer_layers

Projection = Literal["query", "key", "value", "out", "up", "down"]
# the Linear that holds a projection, and which of how many equal blocks of its rows it is
_PLACES = {
    "query": ("attention.qkv", 0, 3),
    "key": ("attention.qkv", 1, 3),
    "value": ("attention.qkv", 2, 3),
    "out": ("attention.out", 0, 1),
    "up": ("up", 0, 1),
    "down": ("down", 0, 1),
}


class LoRA:
    """W + alpha / rank * B A with W fixed (Hu et al. 2022, arXiv:2106.09685, section 4.1), in every transformer layer.

    A starts as ``nn.Linear``'s weight and B at zero, so that the encoder gives at first exactly what it gave before.
    The sum is a parametrization of the weight: the forward pass knows nothing of it, and ``plain`` folds it in.

    Args:
        rank: of the change.
        alpha: its scale, times rank.
        projections: which are changed; "up" and "down" are the feed-forward part's.

    Raises:
        ValueError: rank below 1, or no projection.
    """

    def __init__(
        self, rank: int = 8, alpha: float = 16.0, projections: Sequence[Projection] = ("query", "value")
    ) -> None:
        if rank < 1 or not projections:
            raise ValueError("a change has a rank of 1 or more, of one projection or more")
        self.rank, self.scale = rank, alpha / rank
        self.chosen: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for name in dict.fromkeys(projections):
            linear, block, blocks = _PLACES[name]
            self.chosen[linear].append((block, blocks))

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(False)
        for layer in transformer_layers(encoder):
            for name, places in self.chosen.items():
                linear = layer.get_submodule(name)
                blocks = [block for block, _ in places]
                change = _LowRank(linear.weight, blocks, places[0][1], self.rank, self.scale)
                parametrize.register_parametrization(linear, "weight", change)

    def plain(self, encoder: nn.Module) -> nn.Module:
        """A new encoder with every change added to its weight, which gives the same output."""
        weights = encoder.state_dict()
        for name, linear in encoder.named_modules():
            if parametrize.is_parametrized(linear, "weight") and isinstance(
                linear.parametrizations.weight[0], _LowRank
            ):
                weights = {k: v for k, v in weights.items() if not k.startswith(f"{name}.parametrizations.")}
                weights[f"{name}.weight"] = linear.weight.detach()
        made: nn.Module = build(node_of(encoder), stored=True).to(next(encoder.parameters()))
        made.load_state_dict(weights)
        return made


class _LowRank(nn.Module):
    """(rows, columns) -> the same, with a change of ``rank`` in some of the ``count`` equal blocks of rows."""

    def __init__(self, weight: Tensor, blocks: Sequence[int], count: int, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.blocks, self.count, self.scale = tuple(blocks), count, scale
        like = {"device": weight.device, "dtype": weight.dtype}
        self.a = nn.Parameter(torch.empty(len(blocks), rank, columns, **like))
        self.b = nn.Parameter(torch.zeros(len(blocks), rows // count, rank, **like))
        nn.init.uniform_(self.a, -1 / math.sqrt(columns), 1 / math.sqrt(columns))

    def forward(self, weight: Tensor) -> Tensor:
        out = list(weight.chunk(self.count))
        for block, a, b in zip(self.blocks, self.a, self.b, strict=True):
            out[block] = out[block] + self.scale * b @ a
        return torch.cat(out)
