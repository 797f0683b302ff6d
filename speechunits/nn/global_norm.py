"""Normalisation by what was measured over a corpus."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.seq import Seq


class GlobalNorm(nn.Module):
    """Every feature to mean 0 and variance 1 over the frames of a corpus (global CMVN); padding becomes 0. ``fit_norm``
    measures; as built, it changes nothing.

    Args:
        dim: features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def forward(self, x: Seq) -> Seq:
        """(B, T, dim) -> the same."""
        return x.with_data((x.data - self.mean) * self.scale * x.valid[..., None])


@torch.no_grad()
def fit_norm(features: Iterable[Seq]) -> GlobalNorm:
    """The normalisation of what ``features`` (B, T, D) hold, summed in float64.

    Raises:
        UserError: there is no frame.
    """
    count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for x in features:
        real = x.data[x.valid].double().cpu()
        count, total, squares = count + len(real), total + real.sum(0), squares + real.square().sum(0)
    if not count:
        raise UserError("there is no frame to measure; look at the cuts and their lengths")
    made: GlobalNorm = build({"_target_": f"{__name__}.GlobalNorm"}, dim=total.numel())
    made.mean.copy_(total / count)
    made.scale.copy_((squares / count - (total / count).square()).clamp(min=1e-10).rsqrt())
    return made
