"""Optimizers: functions of named parameters, for a ``_partial_`` node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import AdamW


def adamw(
    params: Iterable[tuple[str, nn.Parameter]],
    lr: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    decay_vectors: bool = True,
) -> AdamW:
    """Fused AdamW (Loshchilov and Hutter, 2019, algorithm 2) on CPU and CUDA; defaults of fairseq's HuBERT.

    Args:
        params: named parameters.
        decay_vectors: HuBERT decays every parameter; False spares those with fewer than two dimensions (biases, norms).
    """
    named = list(params)
    spared = [] if decay_vectors else [(name, p) for name, p in named if p.dim() < 2]
    kept = [(name, p) for name, p in named if decay_vectors or p.dim() >= 2]
    groups: list[dict[str, Any]] = [{"params": kept}, {"params": spared, "weight_decay": 0.0}]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for _, p in named)
    groups = [g for g in groups if g["params"]]
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay, fused=fused)
