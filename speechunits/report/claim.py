"""Claim: one system is better than another by at least a margin, or at least not worse, checked against the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from speechunits.errors import UserError
from speechunits.report.results import Summary, summarise


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    sentence: str
    reached: bool


@dataclass(frozen=True)
class Claim:
    """``better`` beats ``than`` by ``margin`` or more in the mean over seeds; or is not worse ``within_sd``.

    Args:
        better: a system as the results table names it.
        than: the one it is compared with.
        metric: short name, as in the results.
        margin: in the units of the metric.
        lower_is_better: for error rates, distortions, bitrates.
        split: where it is to hold.
        within_sd: instead of a margin: ``better`` is not worse by more than one standard deviation, that of the seeds
            pooled over both systems.

    Raises:
        ValueError: both a margin and ``within_sd``.
    """

    better: str
    than: str
    metric: str
    margin: float = 0.0
    lower_is_better: bool = False
    split: str = "test"
    within_sd: bool = False

    def __post_init__(self) -> None:
        if self.within_sd and self.margin:
            raise ValueError(
                f"margin is {self.margin} and within_sd is true; a claim has one of the two: delete the other"
            )

    def check(self, results: Mapping[str, Any]) -> Verdict:
        """Compare the two means.

        Raises:
            UserError: the results lack one of the two figures, or, ``within_sd``, a second seed.
        """
        table = summarise(results["rows"], self.split)
        first, second = (self._figure(table, system) for system in (self.better, self.than))
        raised = first.mean - second.mean
        gain = -raised if self.lower_is_better else raised
        goal = -self._deviation(first, second) if self.within_sd else self.margin
        reached = gain >= goal - 1e-9  # 0.64 - 0.61 is a little less than 0.03
        name = self.metric.upper() if self.metric in ("pnmi", "abx", "wer", "cer", "uer") else self.metric
        relation = "exceeds" if raised > 0 else "is below" if raised < 0 else "equals"
        seeds = f"; means over {first.count} and {second.count} seeds" if max(first.count, second.count) > 1 else ""
        if self.within_sd:
            worse = "above" if self.lower_is_better else "below"
            wanted = f"goal: not {worse} by more than one standard deviation, {-goal:.3f}"
        else:
            wanted = f"goal ≥ {goal:g} {'lower' if self.lower_is_better else 'higher'}"
        difference = f"{abs(raised):.3f} {name} on {self.split}"
        verdict = "reached" if reached else "missed"
        return Verdict(f"{self.better} {relation} {self.than} by {difference} ({wanted}: {verdict}{seeds})", reached)

    def _deviation(self, first: Summary, second: Summary) -> float:
        """Pooled over both systems' seeds, each about its own mean."""
        free = first.count + second.count - 2
        if not free:
            raise UserError(
                f"claim '{self.better}' over '{self.than}': one seed each has no standard deviation; evaluate more seeds, or "
                "give a margin in place of within_sd"
            )
        squares = [(s.count - 1) * s.deviation**2 for s in (first, second) if s.count > 1]
        return math.sqrt(sum(squares) / free)

    def _figure(self, table: Mapping[str, Mapping[str, Summary]], system: str) -> Summary:
        if self.metric not in table.get(system, {}):
            known = "; ".join(name for name, cells in table.items() if self.metric in cells) or "none"
            raise UserError(
                f"claim '{self.better}' over '{self.than}': '{system}' has no {self.metric} on {self.split}; "
                f"systems that have it: {known}"
            )
        return table[system][self.metric]
