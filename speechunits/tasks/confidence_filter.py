"""ConfidenceFilter: which of a recogniser's own texts are good enough to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speechunits.errors import UserError
from speechunits.metrics.reading import Reading


@dataclass(frozen=True)
class ConfidenceFilter:
    """Of utterances, those with enough words, of which the recogniser is sure enough, and of these the surest.

    Kahn, Lee and Hannun 2020, arXiv:1909.09116, filter by the score divided by the length; here that is the mean confidence
    of the symbols.

    Args:
        min_confidence: mean over the symbols, in [0, 1].
        keep: share of what is left that is kept, the most confident first; of equal ones the first by id.
        min_words: of the text.

    Raises:
        UserError: a share or a confidence outside of [0, 1], or a share of nothing.
    """

    min_confidence: float = 0.0
    keep: float = 1.0
    min_words: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise UserError(f"min_confidence={self.min_confidence}: confidences lie between 0 and 1; give one of these")
        if not 0 < self.keep <= 1:
            raise UserError(f"keep={self.keep}: give the share of the utterances to keep, above 0 and at most 1")

    def __call__(self, readings: Sequence[Reading]) -> tuple[dict[str, tuple[str, float]], dict[str, str]]:
        """-> id -> (text, confidence) of what is kept, id -> reason of what is left out.

        Raises:
            UserError: the search does not say how sure it is.
        """
        sure: dict[str, tuple[str, float]] = {}
        left_out: dict[str, str] = {}
        for reading in readings:
            if len(reading.heard.split()) < max(1, self.min_words):
                left_out[reading.id] = f"fewer than {max(1, self.min_words)} words"
            elif "confidence" not in reading.more:
                raise UserError(
                    f"{reading.id}: the search does not say how sure it is; give model.search (conf/search) of a CTC or "
                    "transducer head"
                )
            elif reading.more["confidence"] < self.min_confidence:
                left_out[reading.id] = f"confidence below {self.min_confidence:g}"
            else:
                sure[reading.id] = (reading.heard, reading.more["confidence"])
        ranked = sorted(sure, key=lambda name: (-sure[name][1], name))
        for name in ranked[max(1, round(self.keep * len(ranked))) :]:
            left_out[name] = f"not among the most confident {self.keep:g}"
            del sure[name]
        return sure, left_out
