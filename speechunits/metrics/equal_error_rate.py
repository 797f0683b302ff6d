"""EqualErrorRate: how well scores tell pairs of one speaker from pairs of two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from speechunits.metrics.speaker_similarity import unit_length, vectors
from speechunits.metrics.utterance_rows import UtteranceRows, read_label, written_label


def operating_points(scores: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of misses and of false alarms at every threshold that decides differently, (C + 1,) float64 each.

    A pair is taken for the same speaker where its score reaches the threshold: first the highest threshold, which takes none.

    Args:
        scores: (N,), higher = more alike.
        same: (N,) bool.

    Raises:
        ValueError: a score is not finite, or all pairs are of one kind.
    """
    if not bool(scores.isfinite().all()):
        raise ValueError("a score is not finite")
    if not bool(same.any()) or bool(same.all()):
        raise ValueError("there must be pairs of one speaker and pairs of two")
    ordered, order = scores.double().sort(descending=True)
    hits = same[order].double()
    last = torch.cat(
        [ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)]
    )  # of equal scores: they go together
    zero = torch.zeros(1, dtype=torch.float64)
    taken, wrong = (torch.cat([zero, x.cumsum(0)[last]]) for x in (hits, 1 - hits))
    return 1 - taken / hits.sum(), wrong / (1 - hits).sum()


def equal_error_rate(scores: Tensor, same: Tensor) -> float:
    """Where misses and false alarms are equally frequent, in [0, 1]: on the line between the two neighbouring points.

    Raises:
        ValueError: see ``operating_points``.
    """
    misses, alarms = operating_points(scores, same)
    after = int((alarms >= misses).nonzero()[0])  # never the first, where all is missed
    gap, ahead = float(misses[after - 1] - alarms[after - 1]), float(alarms[after] - misses[after])
    share = gap / (gap + ahead)
    return float(misses[after - 1] + share * (misses[after] - misses[after - 1]))


def min_dcf(scores: Tensor, same: Tensor, prior: float = 0.01, miss: float = 1.0, alarm: float = 1.0) -> float:
    """The least detection cost of any threshold, over that of the better of taking all and taking none (NIST SRE).

    Args:
        prior: share of pairs of one speaker where it is used.
        miss, alarm: what one costs.

    Raises:
        ValueError: see ``operating_points``.
    """
    misses, alarms = operating_points(scores, same)
    costs = miss * prior * misses + alarm * (1 - prior) * alarms
    return float(costs.min()) / min(miss * prior, alarm * (1 - prior))


class EqualErrorRate(UtteranceRows):
    """``eer`` in percent and ``min_dcf`` of the cosines of all pairs of utterances; nan where all or no speakers are alike.

    Reads ``outputs["voice"]`` (B, D), ``batch["speaker"]``, B names, and ``batch["ids"]``.

    Args:
        prior: see ``min_dcf``.
    """

    def __init__(self, prior: float = 0.01) -> None:
        super().__init__()
        self.prior = prior

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a field is missing, or a vector is null or not finite.
        """
        ids = self.need(batch, "ids")
        for key, voice, name in zip(
            ids, vectors(self, outputs, "voice", ids), self.need(batch, "speaker"), strict=True
        ):
            self.put(key, voice=voice.clone(), speaker=written_label(name))

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
        """
        rows = self.rows()
        voices = unit_length(torch.stack([row["voice"] for row in rows]))
        names = [read_label(row["speaker"]) for row in rows]
        number = torch.tensor([sorted(set(names)).index(name) for name in names])
        pairs = torch.ones(len(rows), len(rows), dtype=torch.bool).triu(1)
        scores, same = (voices @ voices.T)[pairs], (number[:, None] == number)[pairs]
        if not bool(same.any()) or bool(same.all()):
            return {"eer": math.nan, "min_dcf": math.nan}
        return {"eer": 100 * equal_error_rate(scores, same), "min_dcf": min_dcf(scores, same, self.prior)}
