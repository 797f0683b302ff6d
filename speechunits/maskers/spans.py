"""Span drawing: which frames or channels of each utterance are hidden. Reference: fairseq ``compute_mask_indices``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Spans:
    """How spans are drawn; the defaults are HuBERT's.

    Args:
        share: probability that a frame is chosen as the start of a span, times ``length``; overlap makes the realised
            share smaller (0.57 for 0.8, 0.49 for 0.65 at length 10).
        length: of a span, in frames.
        kind: lengths are "static", "uniform" (between ``other`` and 2 * length), "normal" (deviation ``other``) or
            "poisson".
        other: second parameter of ``kind``.
        minimum: spans at least, however short the utterance.
        overlap: spans may overlap.
        space: frames at least between spans, where they may not overlap.
        same_count: hide the same number of frames in every utterance of a batch (couples a batch: results then depend
            on batch-mates).
        holes: share of the hidden frames shown again.

    An utterance always keeps a visible frame; one of a single frame is never hidden.

    Raises:
        ValueError: a number outside its range.
    """

    share: float = 0.8
    length: int = 10
    kind: Literal["static", "uniform", "normal", "poisson"] = "static"
    other: float = 0.0
    minimum: int = 2
    overlap: bool = True
    space: int = 1
    same_count: bool = False
    holes: float = 0.0

    def __post_init__(self) -> None:
        if self.length < 1 or self.share < 0 or self.minimum < 0 or self.space < 0 or not 0 <= self.holes <= 1:
            raise ValueError("spans need length >= 1, share, minimum and space >= 0 and holes between 0 and 1")
        if self.other < 0 or (self.kind == "uniform" and self.other > 2 * self.length):
            raise ValueError(f"other = {self.other} does not suit {self.kind} spans of length {self.length}")

    def draw(self, sizes: Sequence[int], generators: Sequence[np.random.Generator], width: int) -> np.ndarray:
        """(B, width) bool, True = hidden; utterance i uses ``generators[i]`` alone (but for ``same_count``)."""
        hidden = np.zeros((len(sizes), width), dtype=bool)
        chosen = [self._indices(n, rng) for n, rng in zip(sizes, generators, strict=True)]
        keep = min((len(c) for c in chosen if len(c)), default=0) if self.same_count else None
        for row, indices, rng in zip(hidden, chosen, generators, strict=True):
            if keep is not None and len(indices) > keep:
                indices = rng.choice(indices, keep, replace=False)
            if self.holes:
                drop = rng.choice(len(indices), round(len(indices) * self.holes), replace=False)
                indices = np.delete(indices, drop)
            row[indices] = True
        return hidden

    def _lengths(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if self.kind == "static":
            return np.full(count, self.length)
        if self.kind == "uniform":
            return rng.integers(int(self.other), self.length * 2 + 1, count)
        if self.kind == "normal":
            return np.maximum(1, np.rint(rng.normal(self.length, self.other, count)).astype(int))
        return rng.poisson(self.length, count)

    def _indices(self, size: int, rng: np.random.Generator) -> np.ndarray:
        count = max(self.minimum, int(self.share * size / self.length + rng.random()))
        if size < 2 or count == 0:
            return np.zeros(0, dtype=int)
        lengths = self._lengths(count, rng)
        if not lengths.sum():
            lengths[0] = min(self.length, size - 1)
        indices = self._scattered(size, lengths, rng) if self.overlap else self._apart(size, lengths, rng)
        indices = np.unique(indices[indices < size])
        if len(indices) == size:  # nothing left to see: show one frame (fairseq refuses such an utterance)
            indices = np.delete(indices, rng.integers(size))
        return indices

    @staticmethod
    def _scattered(size: int, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shortest = int(lengths.min())
        if size - shortest <= len(lengths):
            shortest = max(size - len(lengths) - 1, 0)
        room = size - shortest
        starts = rng.choice(room, min(len(lengths), room), replace=False)
        return np.concatenate([np.arange(s, s + n) for s, n in zip(starts, lengths, strict=False)])

    def _apart(self, size: int, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        parts, out = [(0, size)], []
        shortest = int(lengths.min())
        for length in sorted(lengths.tolist(), reverse=True):
            room = np.array([e - s if e - s >= length + self.space else 0 for s, e in parts])
            if not room.sum():
                break
            s, e = parts.pop(int(rng.choice(len(parts), p=room / room.sum())))
            start = int(rng.integers(s, max(e - length, s + 1)))
            out.append(np.arange(start, start + length))
            if start - s - self.space >= shortest:
                parts.append((s, start - self.space + 1))
            if e - start - length - self.space > shortest:
                parts.append((start + length + self.space, e))
        return np.concatenate(out) if out else np.zeros(0, dtype=int)
