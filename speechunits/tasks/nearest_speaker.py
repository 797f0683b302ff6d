"""NearestSpeaker: which of the known speakers a vector is nearest to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class NearestSpeaker:
    """Made by ``enrol``.

    Args:
        names: of N speakers.
        vectors: (N, D) of length 1.
    """

    names: tuple[str, ...]
    vectors: Tensor

    def scores(self, voices: Tensor) -> Tensor:
        """(B, D) -> (B, N) cosines."""
        return F.normalize(voices, dim=-1) @ self.vectors.T

    def __call__(self, voices: Tensor) -> list[str]:
        """(B, D) -> B names."""
        return [self.names[i] for i in self.scores(voices).argmax(-1).tolist()]


def enrol(voices: Tensor, speakers: Sequence[str]) -> NearestSpeaker:
    """Speakers by the mean of the unit vectors (M, D) of their utterances, sorted by name.

    Raises:
        ValueError: there is no utterance, or the numbers of vectors and names differ.
    """
    if not len(voices) or len(voices) != len(speakers):
        raise ValueError(f"{len(voices)} vectors and {len(speakers)} speakers; give each vector its speaker")
    names = sorted(set(speakers))
    places = torch.tensor([names.index(name) for name in speakers], device=voices.device)
    sums = voices.new_zeros(len(names), voices.size(1)).index_add(0, places, F.normalize(voices, dim=-1))
    return NearestSpeaker(tuple(names), F.normalize(sums, dim=-1))
