"""Hypothesis: one reading of an utterance, and what finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from speechunits.seq import Seq


@dataclass(frozen=True)
class Hypothesis:
    """What one utterance may say.

    Args:
        ids: (N,) int64 symbols 0 .. V-1 of the text, on the CPU.
        score: natural logarithm of its probability as the search adds it up; of use within one utterance.
        spans: (N, 2) int64, first frame of each symbol and the frame after its last, of what the head was given; None where
            the head has no frames (an attention decoder alone).
        confidence: (N,) float32 in [0, 1], how sure the model is of each symbol; None where the search does not say.
    """

    ids: Tensor
    score: float = 0.0
    spans: Tensor | None = None
    confidence: Tensor | None = None


class Search(Protocol):
    """From what the heads of a recogniser were given to hypotheses."""

    def __call__(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """Hypotheses of B utterances, the best first, at least one each (without symbols where nothing is said).

        Args:
            heads: by name; a search takes those it is made for.
            heard: (B, T, D) of each head.

        Raises:
            UserError: the heads are not those that it searches.
        """
        ...
