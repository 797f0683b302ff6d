"""Alarms: figures that a run should not have, said in the log while it can still be mended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Alarms:
    """Warn the first, second, fourth, eighth ... time that something looks wrong; ``counts`` holds how often it did.

    Args:
        early: updates during which an accuracy above 0.99 means that the labels are constant or leak into the input.
        explosion: a penalty this many times its first figure has exploded.
    """

    def __init__(self, early: int = 10_000, explosion: float = 10.0) -> None:
        self.early, self.explosion = early, explosion
        self.counts: Counter[str] = Counter()
        self._first: dict[str, float] = {}

    def __call__(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            if name.endswith("accuracy") and value > 0.99 and step < self.early:
                self.raise_(name, step, f"{value:.4f} so early: constant labels, or the target leaks into the input")
            if "penalty" in name and value > self.explosion * self._first.setdefault(name, value) > 0:
                first = self._first[name]
                self.raise_(name, step, f"{value:g}, at first {first:g}: features explode; lower the learning rate")

    def loss_scale(self, scale: float, step: int) -> None:
        if scale < 1:
            self.raise_("loss scale", step, f"{scale:g}: fp16 is too coarse for this model; train in bf16 or fp32")

    def raise_(self, name: str, step: int, what: str) -> None:
        self.counts[name] += 1
        times = self.counts[name]
        if times & (times - 1) == 0:
            log.warning("alarm after update %d: %s is %s (seen %d times)", step, name, what, times)
