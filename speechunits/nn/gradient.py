"""Scale a gradient without touching the value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """``x`` forward, ``factor * grad`` backward (fairseq's ``feature_grad_mult``); factor 0 cuts the graph."""
    if factor == 1.0:
        return x
    return _ScaleGradient.apply(x, factor) if factor else x.detach()
