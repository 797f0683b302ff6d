"""Learning-rate schedules: functions of an Optimizer, for a ``_partial_`` node.

Each is a closed form in ``n``, the number of completed updates, times the optimizer's own (peak) ``lr``; so a resumed
run continues exactly. ``n`` counts as in fairseq, whose warm-up starts with an update at learning rate 0.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from speechunits.errors import UserError


def polynomial_decay(
    optimizer: Optimizer, warmup: int, total: int, end_factor: float = 0.0, power: float = 1.0
) -> LambdaLR:
    """Linear warm-up, then a polynomial fall to ``end_factor`` at ``total`` (fairseq; HuBERT with power 1).

    Raises:
        UserError: the warm-up is longer than the whole.
    """
    _check(warmup, total)

    def factor(n: int) -> float:
        if n < warmup:
            return n / warmup
        return end_factor + (1 - end_factor) * max(0.0, 1 - (n - warmup) / max(1, total - warmup)) ** power

    return LambdaLR(optimizer, factor)


def tri_stage(
    optimizer: Optimizer, warmup: int, hold: int, decay: int, init_factor: float = 0.01, final_factor: float = 0.01
) -> LambdaLR:
    """Linear rise, plateau, exponential fall (fairseq ``tri_stage``, Baevski et al. 2020, section 4.3)."""

    def factor(n: int) -> float:
        if n < warmup:
            return init_factor + (1 - init_factor) * n / warmup
        if n < warmup + hold:
            return 1.0
        if n <= warmup + hold + decay:
            return final_factor ** ((n - warmup - hold) / max(1, decay))
        return final_factor

    return LambdaLR(optimizer, factor)


def inverse_sqrt(optimizer: Optimizer, warmup: int, init_factor: float = 0.0) -> LambdaLR:
    """Linear warm-up, then sqrt(warmup / n) (fairseq ``inverse_sqrt``)."""

    def factor(n: int) -> float:
        if n < warmup:
            return init_factor + (1 - init_factor) * n / warmup
        return math.sqrt(max(1, warmup) / max(1, n))

    return LambdaLR(optimizer, factor)


def noam(optimizer: Optimizer, dim: int, warmup: int) -> LambdaLR:
    """lr dim^-0.5 min(s^-0.5, s warmup^-1.5) with s = n + 1 (Vaswani et al. 2017, equation 3)."""

    def factor(n: int) -> float:
        s = n + 1
        return dim**-0.5 * min(s**-0.5, s * max(1, warmup) ** -1.5)

    return LambdaLR(optimizer, factor)


def cosine(optimizer: Optimizer, warmup: int, total: int, end_factor: float = 0.0) -> LambdaLR:
    """Linear warm-up, then half a cosine down to ``end_factor`` at ``total`` (Loshchilov and Hutter, 2017, equation 5).

    Raises:
        UserError: the warm-up is longer than the whole.
    """
    _check(warmup, total)

    def factor(n: int) -> float:
        if n < warmup:
            return n / warmup
        done = min(1.0, (n - warmup) / max(1, total - warmup))
        return end_factor + (1 - end_factor) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)


def exponential(optimizer: Optimizer, every: int, factor: float = 0.999) -> LambdaLR:
    """``factor`` times less after every so many updates: torch's ``ExponentialLR`` with ``every`` the updates of an epoch, as
    HiFi-GAN is trained (Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 3).
    """
    return LambdaLR(optimizer, lambda n: factor ** (n // every))


def _check(warmup: int, total: int) -> None:
    if warmup > total:
        raise UserError(f"schedule: warmup={warmup} updates do not fit into total={total}; lower warmup or raise total")
