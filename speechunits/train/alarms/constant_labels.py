"""ConstantLabels: there is next to nothing to predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits.train.alarms.alarm import Alarm, training


class ConstantLabels(Alarm):
    """The labels that an update scored are (nearly) all one code, stored ones or a teacher's.

    Args:
        limit: a perplexity of the labels below it; 1 = one code.
    """

    name = "constant_labels"
    advice = (
        "Try: look at the stored units of a few utterances and at the tokenizer that made them (its features, its k-means, "
        "the audio it heard); with a teacher: see codebook_collapse"
    )

    def __init__(self, limit: float = 1.1) -> None:
        super().__init__()
        self.limit = limit

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        found = {n: v for n, v in training(figures, "/target_perplexity").items() if v < self.limit}
        return ", ".join(f"{name} is {value:.2f}: one label for all" for name, value in found.items()) or None
