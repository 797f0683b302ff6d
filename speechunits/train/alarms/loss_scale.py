"""LossScale: fp16 has no room left for the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits.train.alarms.alarm import Alarm


class LossScale(Alarm):
    """The scale of an fp16 loss fell so low that gradients vanish.

    Args:
        limit: the least healthy scale.
    """

    name = "loss_scale"
    advice = "Try: trainer.precision=bf16-mixed or 32-true; fp16 is too coarse for this model"

    def __init__(self, limit: float = 1.0) -> None:
        super().__init__()
        self.limit = limit

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        scale = figures.get("train/loss_scale", self.limit)
        return f"the loss scale is {scale:g}" if scale < self.limit else None
