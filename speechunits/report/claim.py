"""Claim: one system is better than another by at least a margin, checked against the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from speechunits.errors import UserError
from speechunits.report.results import summarise


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    sentence: str
    reached: bool


@dataclass(frozen=True)
class Claim:
    """``better`` beats ``than`` by ``margin`` or more in the mean over seeds.

    Args:
        better: a system as the results table names it.
        than: the one it is compared with.
        metric: short name, as in the results.
        margin: in the units of the metric.
        lower_is_better: for error rates, distortions, bitrates.
        split: where it is to hold.
    """

    better: str
    than: str
    metric: str
    margin: float = 0.0
    lower_is_better: bool = False
    split: str = "test"

    def check(self, results: Mapping[str, Any]) -> Verdict:
        """Compare the two means.

        Raises:
            UserError: the results lack one of the two figures.
        """
        table = summarise(results["rows"], self.split)
        first, second = (self._figure(table, system) for system in (self.better, self.than))
        raised = first.mean - second.mean
        gain = -raised if self.lower_is_better else raised
        reached = gain >= self.margin - 1e-9  # 0.64 - 0.61 is a little less than 0.03
        name = self.metric.upper() if self.metric in ("pnmi", "abx", "wer", "cer", "uer") else self.metric
        relation = "exceeds" if raised > 0 else "is below" if raised < 0 else "equals"
        seeds = f"; means over {first.count} and {second.count} seeds" if max(first.count, second.count) > 1 else ""
        goal = f"goal ≥ {self.margin:g} {'lower' if self.lower_is_better else 'higher'}: {'reached' if reached else 'missed'}"
        difference = f"{abs(raised):.3f} {name} on {self.split}"
        sentence = f"{self.better} {relation} {self.than} by {difference} ({goal}{seeds})"
        return Verdict(sentence, reached)

    def _figure(self, table: Mapping[str, Mapping[str, Any]], system: str) -> Any:
        if self.metric not in table.get(system, {}):
            known = "; ".join(name for name, cells in table.items() if self.metric in cells) or "none"
            raise UserError(
                f"claim '{self.better}' over '{self.than}': '{system}' has no {self.metric} on {self.split}; "
                f"systems that have it: {known}"
            )
        return table[system][self.metric]
