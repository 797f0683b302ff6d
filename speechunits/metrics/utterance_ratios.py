"""UtteranceRatios: a Measure whose results are ratios of sums over utterances, with their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.bootstrap import ratio_intervals
from speechunits.metrics.utterance_rows import UtteranceRows, read_label, written_label

Ratio = tuple[float, float]  # what is counted, and what it is a share of
NONE: Ratio = (0.0, 0.0)  # an utterance that has no such result


def mean(value: float) -> Ratio:
    """A result that is averaged over utterances; one that is nan is not there."""
    return NONE if math.isnan(value) else (value, 1.0)


class UtteranceRatios(UtteranceRows):
    """State, results and intervals for Measures that ``keep`` the same ratios of every utterance.

    The speaker of an utterance is remembered where ``batch["speaker"]``, B names, is there.
    """

    def keep(self, batch: Mapping[str, Any], number: int, **ratios: Ratio) -> None:
        """Remember the ratios of an utterance.

        Args:
            number: which of ``batch``.

        Raises:
            UserError: one is not finite.
        """
        key = self.need(batch, "ids")[number]
        if wrong := [name for name, pair in ratios.items() if not all(map(math.isfinite, pair))]:
            raise UserError(f"{key}: {wrong[0]} is not finite; leave the utterance out, or mend what made it")
        row = {name: torch.tensor(pair, dtype=torch.float64) for name, pair in ratios.items()}
        if speaker := (batch.get("speaker") or {number: ""})[number]:
            row["speaker"] = written_label(speaker)
        self.put(key, **row)

    def compute(self) -> dict[str, float]:
        """The results over everything seen; nan where nothing has one.

        Raises:
            UserError: no utterance was seen.
        """
        parts = _parts(self.rows())
        return {k: float(part.sum() / whole.sum()) if whole.sum() else math.nan for k, (part, whole) in parts.items()}

    def intervals(
        self,
        over: Literal["utterances", "speakers"] = "utterances",
        draws: int = 10_000,
        level: float = 0.95,
        seed: int = 0,
    ) -> dict[str, tuple[float, float]]:
        """Bootstrap confidence interval of each result, as ``WER.intervals`` has them.

        Raises:
            UserError: no utterance was seen, or the speaker of one is unknown.
        """
        rows = self.rows()
        if over == "speakers" and any("speaker" not in row for row in rows):
            raise UserError(
                "intervals over speakers need the speaker of every utterance; name them, or take utterances"
            )
        groups = [read_label(row["speaker"]) for row in rows] if over == "speakers" else range(len(rows))
        return ratio_intervals(_parts(rows), np.array(groups), draws, level, seed)


def _parts(rows: list[dict[str, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    names = [name for name in rows[0] if name != "speaker"]
    tables = {name: torch.stack([row[name] for row in rows]) for name in names}
    return {name: (table[:, 0], table[:, 1]) for name, table in tables.items()}
