"""AudioPairs: a Measure that hears what was made beside what it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.utterance_ratios import Ratio, UtteranceRatios
from speechunits.seq import Seq, unpad


class AudioPairs(UtteranceRatios):
    """Hands pairs of waveforms to ``compare``, one utterance at a time, so that no batch decides a result.

    Reads ``outputs["audio"]``, what was made, and ``batch["audio"]``, both Seq (B, S) at ``rate``, and ``batch["ids"]``.

    Args:
        rate: of both, Hz.
    """

    def __init__(self, rate: int = 16000) -> None:
        super().__init__()
        self.rate = rate

    def compare(self, made: Tensor, original: Tensor) -> dict[str, Ratio]:
        """The results of one pair, (S,) and (S'); a subclass says which.

        Raises:
            ValueError: they cannot be compared; without the utterance's id.
        """
        raise NotImplementedError

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a waveform is missing, of another rate, not finite, or cannot be compared.
        """
        ids = self.need(batch, "ids")
        made, originals = (waves(self, source, ids, self.rate) for source in (outputs, batch))
        for number, (key, ours, theirs) in enumerate(zip(ids, made, originals, strict=True)):
            try:
                ratios = self.compare(ours, theirs)
            except ValueError as error:
                raise UserError(f"{key}: {error}; leave the utterance out, or mend what made it") from error
            self.keep(batch, number, **ratios)


def waves(measure: UtteranceRatios, source: Mapping[str, Any], ids: Sequence[str], rate: int) -> list[Tensor]:
    """``source["audio"]`` as B tensors (S_i,), float64 on the CPU.

    Raises:
        UserError: it is missing, of another rate, or a real sample is not finite.
    """
    audio: Seq = measure.need(source, "audio")
    if audio.hop != Fraction(1, rate):
        found = None if audio.hop is None else 1 / audio.hop
        raise UserError(f"{type(measure).__name__} hears audio at {rate} Hz and got {found} Hz; resample it")
    items = [x.detach().cpu().double() for x in unpad(audio)]
    for key, x in zip(ids, items, strict=True):
        if not bool(x.isfinite().all()):
            raise UserError(f"{key}: has NaN or infinite samples; leave the utterance out, or mend what made it")
    return items
