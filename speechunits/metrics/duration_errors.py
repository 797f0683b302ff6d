"""DurationErrors: how far the predicted durations of units are from those that were spoken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from speechunits.errors import UserError
from speechunits.metrics.utterance_ratios import NONE, UtteranceRatios, mean
from speechunits.seq import Seq, unpad


class DurationErrors(UtteranceRatios):
    """``duration_error``, the mean absolute error of a unit in milliseconds; ``duration_bias``, the mean error (above 0 = too
    long); ``duration_correlation``, Pearson's, and ``length_error``, how far the whole utterance is off in percent, both means
    over utterances.

    Reads ``outputs["durations"]`` and ``batch["durations"]``, Seq (B, T) of as many frames per unit, whose hop is the length of
    a frame, and ``batch["ids"]``.
    """

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a field is missing, or an utterance has no units.
            ValueError: the two sides differ in units, or there is no hop.
        """
        made: Seq = self.need(outputs, "durations")
        original: Seq = self.need(batch, "durations")
        if original.hop is None or made.hop not in (None, original.hop):
            raise ValueError(
                f"'durations' count frames of {made.hop} s and of {original.hop} s; give both the hop of units"
            )
        if not torch.equal(made.lengths.cpu(), original.lengths.cpu()):
            raise ValueError("'durations' has other numbers of units on its two sides: predict those of the same units")
        milliseconds = float(1000 * original.hop)
        sides = zip(self.need(batch, "ids"), unpad(made), unpad(original), strict=True)
        for number, (key, ours, theirs) in enumerate(sides):
            if not len(theirs) or not int(theirs.sum()):
                raise UserError(f"{key}: no units, so no durations; leave utterances this short out")
            a, b = ours.detach().cpu().double(), theirs.cpu().double()
            spread = math.prod(float((x - x.mean()).norm()) for x in (a, b))
            whole = float((a.sum() - b.sum()).abs() / b.sum())
            self.keep(
                batch,
                number,
                duration_error=(milliseconds * float((a - b).abs().sum()), len(b)),
                duration_bias=(milliseconds * float((a - b).sum()), len(b)),
                duration_correlation=mean(float((a - a.mean()) @ (b - b.mean())) / spread) if spread else NONE,
                length_error=mean(100 * whole),
            )
