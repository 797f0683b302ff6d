"""PenaltyExplodes: the frontend's features grow out of all bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits.train.alarms.alarm import Alarm


class PenaltyExplodes(Alarm):
    """A term of an objective called ``penalty`` is many times its first figure.

    Args:
        factor: how many times.
    """

    name = "penalty_explodes"
    advice = (
        "Try: a lower learning rate, a longer warm-up, a higher weight of the penalty, a lower clip, "
        "layer norm in the frontend"
    )

    def __init__(self, factor: float = 10.0) -> None:
        super().__init__()
        self.factor = factor
        self._first: dict[str, float] = {}

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        found = []
        for name, value in figures.items():
            if name.startswith("train/") and "penalty" in name:
                first = self._first.setdefault(name, value)
                if value > self.factor * first > 0:
                    found.append(f"{name} is {value:g}, at first {first:g}")
        return ", ".join(found) or None

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "first": self._first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._first = dict(state_dict["first"])
