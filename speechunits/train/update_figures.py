"""UpdateFigures: a row of figures of one update, and of the time since the last row."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from speechunits.term import Term
from speechunits.train.rank_sum import RankSum


class UpdateFigures:
    """Means of an update's terms, exact over ranks; speed, and the share of time spent waiting for the loader.

    Attributes:
        elapsed: seconds of the last row.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._clock = self._heard = self._waited = 0.0
        self._sum = RankSum()

    def start(self, heard: float, waited: float) -> None:
        """Begin the interval of the next row; both count from the beginning of the run."""
        self._clock, self._heard, self._waited = time.perf_counter(), heard, waited

    def row(self, terms: Mapping[str, Term], heard: float, waited: float, device: torch.device) -> dict[str, float]:
        """``objective/term`` and the figures of speed; all ranks must call it.

        Args:
            terms: of this rank's micro-batches, summed.
            heard: seconds of audio so far, over all ranks.
            waited: seconds that this rank has waited for its loader so far.
        """
        self.elapsed = max(time.perf_counter() - self._clock, 1e-9)
        sums: dict[str, Tensor | float] = {"ranks": 1.0, "waited": (waited - self._waited) / self.elapsed}
        sums |= {f"num {name}": term.num for name, term in terms.items()}
        sums |= {f"den {name}": term.den for name, term in terms.items()}
        found = {name: float(value) for name, value in self._sum(sums, device).items()}
        names = [name.removeprefix("num ") for name in found if name.startswith("num ")]
        return {
            "audio_hours": heard / 3600,
            "audio_seconds_per_second": (heard - self._heard) / self.elapsed,
            "loader_wait": found["waited"] / found["ranks"],
            **{name: found[f"num {name}"] / max(found[f"den {name}"], 1.0) for name in names},
        }
