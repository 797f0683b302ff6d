"""Hypothesis: one reading of an utterance, and what finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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
        words: of a search through a lexicon, whose symbols may be no spelling (phones): each with the numbers of its first
            symbol and of the one behind its last; None of any other search.
    """

    ids: Tensor
    score: float = 0.0
    spans: Tensor | None = None
    confidence: Tensor | None = None
    words: tuple[tuple[str, int, int], ...] | None = None

    def text(self, tokenizer: Any) -> str:
        """Its words if it knows them, else its symbols as ``tokenizer`` reads them."""
        if self.words is None:
            return tokenizer.decode(self.ids)
        return " ".join(word for word, _, _ in self.words)


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


class RunningSearch(Protocol):
    """A search of one utterance that comes piece by piece; what it has said stays said."""

    def __call__(self, heard: Mapping[str, Seq], last: bool) -> Hypothesis:
        """What has become certain.

        Args:
            heard: (1, T, D) of each head, the frames after those of the call before.
            last: nothing follows.

        Returns:
            New symbols, with spans counted from the beginning of the utterance; the scores of all calls add up.
        """
        ...


@runtime_checkable
class Streams(Protocol):
    """A search that need not wait for the end of an utterance."""

    def stream(self, heads: Mapping[str, nn.Module]) -> RunningSearch:
        """To be called with the pieces of one utterance.

        Raises:
            UserError: the heads are not those that it searches.
        """
        ...
