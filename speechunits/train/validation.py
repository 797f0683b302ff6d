"""Validation: terms over the whole set, Measures on a stated part of it, both exact over ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from speechunits import ranks
from speechunits.metrics.measure import Measure, merge
from speechunits.protocols import Batch
from speechunits.term import Term, add
from speechunits.train.rank_sum import RankSum


class Validation:
    """Sums of one pass over the validation set. Ranks may hold different numbers of batches.

    Args:
        model: ``terms(batch)``, and ``predict(batch)`` where there are measures.
        measures: named Measures.
        every: they run in every n-th validation, the first included.
        batches: and see the first n batches of each rank; None = all.
    """

    def __init__(self, model: Any, measures: Mapping[str, Measure], every: int = 1, batches: int | None = None) -> None:
        self.model, self.measures, self.every, self.batches = model, measures, every, batches
        self.done = 0
        self._terms: dict[str, Term] = {}
        self._sum = RankSum()

    @property
    def measuring(self) -> bool:
        return bool(self.measures) and self.done % self.every == 0

    def start(self) -> None:
        self._terms = {}
        for measure in self.measures.values():
            measure.reset()

    def add(self, batch: Batch, index: int) -> None:
        """Take in validation batch number ``index`` of this rank; nothing is exchanged with other ranks yet."""
        terms = self.model.terms(batch).items()
        exact = {name: Term(t.num.detach().double(), t.den.detach().double(), t.weight) for name, t in terms}
        self._terms = add([self._terms, exact])
        if self.measuring and (self.batches is None or index < self.batches):
            outputs = self.model.predict(batch)
            for measure in self.measures.values():
                measure.update(outputs, batch)

    def finish(self, device: torch.device) -> dict[str, float]:
        """Means of all terms (``objective/term``), their weighted sum (``loss``), results of measures (``measure/key``)."""
        sums = {f"num {name}": term.num for name, term in self._terms.items()}
        sums |= {f"den {name}": term.den for name, term in self._terms.items()}
        # a rank without batches knows no weights; with these any rank's weight is sum over ranks / ranks that know it
        sums |= {f"weight {name}": torch.tensor(float(term.weight)) for name, term in self._terms.items()}
        sums |= {f"known {name}": torch.tensor(1.0) for name in self._terms}
        found = {name: float(value) for name, value in self._sum(sums, device).items()}
        names = [name.removeprefix("num ") for name in found if name.startswith("num ")]
        out = {name: found[f"num {name}"] / max(found[f"den {name}"], 1.0) for name in names}
        if out:
            out["loss"] = sum(found[f"weight {n}"] / found[f"known {n}"] * out[n] for n in names if found[f"known {n}"])
        if self.measuring:
            for name, measure in self.measures.items():
                measure.load(merge(everyone(measure.state())))
                out |= {f"{name}/{key}": value for key, value in measure.compute().items()}
        self.done += 1
        return out


def everyone(state: Any) -> list[Any]:
    """``state`` of every rank, in rank order."""
    if not ranks.met():
        return [state]
    states = [None] * ranks.world()
    dist.all_gather_object(states, state)
    return states
