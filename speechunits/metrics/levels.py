"""Levels: how loud what was made is, and whether it is clipped or silent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speechunits.metrics.audio_pairs import waves
from speechunits.metrics.utterance_ratios import NONE, UtteranceRatios, mean

FULL = 1 - 2.0**-15  # the largest sample of 16 bits
RUN = 3  # samples at full scale side by side that no unclipped peak has


def level(wave: Tensor) -> float:
    """Root mean square of (S,) in dB of full scale, so that a full-scale sine has -3; minus infinity of silence."""
    power = float(wave.double().square().mean()) if len(wave) else 0.0
    return 10 * math.log10(power) if power else -math.inf


def clipped(wave: Tensor) -> bool:
    """Whether (S,) has some samples side by side at full scale."""
    at_end = wave.abs() >= FULL
    return len(wave) >= RUN and bool(at_end.unfold(0, RUN, 1).all(1).any())


class Levels(UtteranceRatios):
    """``level`` in dB of full scale, the mean over utterances that are not silent; ``clipped`` and ``silent``, percentages of
    utterances; ``seconds``, the mean.

    Reads ``outputs["audio"]`` and ``batch["ids"]``.

    Args:
        silence: dB of full scale below which an utterance is silent.
        rate: of the audio, Hz.
    """

    def __init__(self, silence: float = -60.0, rate: int = 16000) -> None:
        super().__init__()
        self.silence, self.rate = silence, rate

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: the audio is missing, of another rate, or not finite.
        """
        for number, wave in enumerate(waves(self, outputs, self.need(batch, "ids"), self.rate)):
            loud = level(wave)
            silent = loud < self.silence
            self.keep(
                batch,
                number,
                level=NONE if silent else mean(loud),
                clipped=mean(100.0 * clipped(wave)),
                silent=mean(100.0 * silent),
                seconds=mean(len(wave) / self.rate),
            )

    def named(self, name: str) -> list[str]:
        """Ids of the utterances that are ``clipped`` or ``silent``."""
        return [key for key in sorted(self._rows) if float(self._rows[key][name][0])]
