"""AdversarialLoss: what discriminators and generators are told by each other's work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from speechunits.vocoders.conv_stack import Judged


class AdversarialLoss:
    """Losses of both sides, and feature matching.

    Every number is a sum over segments: of each segment the mean over the scores s of a discriminator, summed over
    discriminators by their weights. So with the number of segments it makes a ratio that is exact over micro-batches.

    Args:
        kind: "least_squares" (Mao et al. 2017, https://arxiv.org/abs/1611.04076; HiFi-GAN, https://arxiv.org/abs/2010.05646,
            equations 1 and 2): (1 - s)^2 of real audio and s^2 of made audio, the generator (1 - s)^2. "hinge" (SoundStream,
            https://arxiv.org/abs/2107.03312, equations 1 and 2): max(0, 1 - s), max(0, 1 + s), the generator
            max(0, 1 - s).
    """

    def __init__(self, kind: Literal["least_squares", "hinge"] = "least_squares") -> None:
        self.kind = kind

    def real(self, judged: Sequence[Judged], weights: Sequence[float]) -> Tensor:
        """Of the discriminators, about real audio; a scalar."""
        return _sum([self._miss(1 - score) for score, _ in judged], weights)

    def made(self, judged: Sequence[Judged], weights: Sequence[float]) -> Tensor:
        """Of the discriminators, about made audio; a scalar."""
        hinge = self.kind == "hinge"
        return _sum([self._miss(1 + score if hinge else score) for score, _ in judged], weights)

    def fooling(self, judged: Sequence[Judged], weights: Sequence[float]) -> Tensor:
        """Of the generator, about what it made; a scalar."""
        return self.real(judged, weights)

    def _miss(self, gap: Tensor) -> Tensor:
        gap = gap.to(torch.promote_types(gap.dtype, torch.float32))  # a square may leave the range of fp16
        return _each(F.relu(gap) if self.kind == "hinge" else gap.square())


def feature_distance(made: Sequence[Judged], real: Sequence[Judged], weights: Sequence[float]) -> Tensor:
    """Twice the mean absolute differences of all features (HiFi-GAN, equations 4 and 5 with lambda_fm = 2); a scalar."""
    pairs = [zip(ours, theirs, strict=True) for (_, ours), (_, theirs) in zip(made, real, strict=True)]
    return 2 * _sum([sum(_each((a - b).abs()) for a, b in layers) for layers in pairs], weights)


def _each(x: Tensor) -> Tensor:
    """(B, ...) -> the mean of each row (B,), in float32 or better."""
    return x.flatten(1).mean(1, dtype=torch.promote_types(x.dtype, torch.float32))


def _sum(rows: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return sum(weight * x.sum() for weight, x in zip(weights, rows, strict=True))
