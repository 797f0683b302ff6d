"""Segments: the time-aligned symbols of a cut as spans of frames."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from lhotse.cut import Cut

WINDOW = Fraction(1, 40)  # seconds that one frame sees: HuBERT's 400 samples, kaldi's MFCC


class Segment(NamedTuple):
    """Frames ``start`` to ``end``, ``end`` not included."""

    symbol: str
    start: int
    end: int


def segments(cut: Cut, alignment: str, hop: Fraction) -> list[Segment]:
    """The items of an alignment ("phone", "word"), in order; those without a frame are left out.

    Frame t belongs to the item that covers the centre of its window [t * hop, t * hop + 25 ms], as in ``PhoneField``, but
    twice the same symbol in a row stays two items.
    """
    out, step = [], float(hop)
    frames = max(0, floor((cut.duration - float(WINDOW)) / step + 1e-6) + 1)
    for said in sorted(cut.supervisions, key=lambda s: s.start):
        for item in (said.alignment or {}).get(alignment, ()):
            begin = item.start - cut.start - float(WINDOW / 2)
            edges = (ceil(edge / step - 1e-6) for edge in (begin, begin + item.duration))
            start, end = (min(max(0, edge), frames) for edge in edges)
            if end > start:
                out.append(Segment(item.symbol, start, end))
    return out
