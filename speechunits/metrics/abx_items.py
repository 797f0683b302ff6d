"""AbxItems: the segments that an ABX test compares, cut from phone alignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Segment = Literal["triphone", "phone", "phone_any"]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AbxItems:
    """N segments, by column; all (N,) int64.

    Args:
        utterance: index of the utterance that holds the segment.
        start, end: its frames there, ``end`` not included.
        phone: what is discriminated: the (centre) phone.
        context: items are only compared within one context (previous and next phone, or 0 for all).
        speaker: who speaks.
    """

    utterance: Ints
    start: Ints
    end: Ints
    phone: Ints
    context: Ints
    speaker: Ints

    def __len__(self) -> int:
        return len(self.phone)

    def take(self, index: Ints) -> AbxItems:
        return AbxItems(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def abx_items(
    phones: Sequence[Ints],
    phone_hops: Sequence[Fraction],
    frames: Sequence[int],
    frame_hops: Sequence[Fraction],
    speakers: Sequence[int],
    segment: Segment = "triphone",
    silence: Sequence[int] = (),
) -> AbxItems:
    """All segments of the utterances' alignments, each a run of one phone id with its neighbours.

    ``triphone``: from the start of the previous phone to the end of the next one, compared in the same context
    (Libri-Light, Kahn et al. 2020, https://arxiv.org/abs/1912.07875, section 4; ZeroSpeech 2021).
    ``phone``: the phone alone, compared in the same context; ``phone_any``: the phone alone, whatever its context (the
    "within" and "any" context of https://github.com/zerospeech/libri-light-abx2). The first two need two neighbours.
    A segment holds the frames whose centre lies within it, both ends included, as in fastabx
    (https://github.com/bootphon/fastabx, docs/advanced/slicing.rst); Libri-Light's own code loses the last of them.
    Segments without a frame are left out. Twice the same phone in a row is one phone: frame labels cannot tell.

    Args:
        phones: per utterance (T',) phone ids on a frame grid; -1 where unlabelled.
        phone_hops: seconds per label.
        frames: how many frames of features each utterance has.
        frame_hops: seconds per frame of features.
        speakers: speaker index of each utterance.
        silence: phone ids that are neither items nor context.
    """
    many = 1 + max((int(x.max(initial=0)) for x in phones), default=0)
    found: list[list[Ints]] = []
    for u, labels in enumerate(phones):
        ids = np.where(np.isin(labels, silence), -1, labels).astype(np.int64)
        edges = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, np.int64)
        run, onset, offset = ids[edges], edges, np.r_[edges[1:], len(ids)]
        before, after = np.r_[-1, run[:-1]][: len(run)], np.r_[run[1:], -1][: len(run)]
        whole = segment == "phone_any"
        keep = np.flatnonzero((run >= 0) & (whole | ((before >= 0) & (after >= 0))))
        wide = 1 if segment == "triphone" else 0
        # frame i is centred at (i + 1/2) hops: kept when onset <= centre <= offset, in exact integer arithmetic
        ratio = phone_hops[u] / frame_hops[u]
        num, den = ratio.numerator, ratio.denominator
        start = -((den - 2 * num * onset[keep - wide]) // (2 * den))
        end = np.minimum((2 * num * offset[keep + wide] - den) // (2 * den) + 1, frames[u])
        context = np.zeros(len(keep), np.int64) if whole else before[keep] * many + after[keep]
        columns = [np.full(len(keep), u), start, end, run[keep], context, np.full(len(keep), speakers[u])]
        found.append([np.asarray(c, np.int64)[end > start] for c in columns])
    if not found:
        return AbxItems(*[np.zeros(0, np.int64)] * 6)
    return AbxItems(*(np.concatenate(c) for c in zip(*found, strict=True)))
