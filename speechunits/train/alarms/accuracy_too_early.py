"""AccuracyTooEarly: hidden frames are guessed right before anything can have been learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits.train.alarms.alarm import Alarm, training


class AccuracyTooEarly(Alarm):
    """An ``accuracy`` (not ``unmasked_accuracy``) near 1 in the first updates.

    Args:
        limit: an accuracy above it is suspicious.
        updates: for so many updates.
    """

    name = "accuracy_too_early"
    advice = (
        "Try: look at the labels (are they constant?), and whether the input shows them: a masker that hides nothing, a read "
        "place below the masker, labels of the masked audio itself"
    )

    def __init__(self, limit: float = 0.99, updates: int = 10_000) -> None:
        super().__init__()
        self.limit, self.updates = limit, updates

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        found = {name: value for name, value in training(figures, "/accuracy").items() if value > self.limit}
        if not found or module.step >= self.updates:
            return None
        return ", ".join(f"{name} is {value:.4f} so early" for name, value in found.items())
