"""CodebookCollapse: of many codes only a few are used, by the targets or by the answers."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from speechunits.train.alarms.alarm import Alarm


class CodebookCollapse(Alarm):
    """Perplexity of an update's targets against the size of their codebooks, and of the answers against the targets'.

    Reads ``train/<objective>/target_perplexity``, ``answer_perplexity`` and ``model.objectives[...].vocab``.

    Args:
        targets: least perplexity of targets, as a share of the codebook.
        answers: least perplexity of answers, as a share of the targets'.
        after: answers count from this update on: every model begins with the most frequent code for all.
    """

    name = "codebook_collapse"
    advice = (
        "Try: codes of a teacher: quantizer.revive_after, a teacher decay nearer to 1, a lower learning rate; stored units: "
        "fit the k-means again on more and cleaner audio; answers alone: a lower learning rate or a longer warm-up"
    )

    def __init__(self, targets: float = 0.05, answers: float = 0.05, after: int = 5000) -> None:
        super().__init__()
        self.targets, self.answers, self.after = targets, answers, after

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        found = []
        for name, objective in dict(getattr(module.model, "objectives", {})).items():
            target, answer = (figures.get(f"train/{name}/{which}_perplexity") for which in ("target", "answer"))
            if target is None or answer is None:
                continue
            size = mean(objective.vocab)
            if target < self.targets * size:
                found.append(f"the targets of {name} have a perplexity of {target:.1f} out of {size:g} codes")
            if module.step >= self.after and answer < self.answers * target:
                found.append(f"the answers of {name} have a perplexity of {answer:.1f}, their targets {target:.1f}")
        return " and ".join(found) or None
