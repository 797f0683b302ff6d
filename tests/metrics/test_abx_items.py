from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from speechunits.metrics.abx_items import AbxItems, Segment, abx_items

GRID = Fraction(1, 100)
LABELS = np.array([9, 1, 1, 1, 2, 2, 3, 3, 3, 3, -1, 4, 4, 5])


def rows(items: AbxItems) -> list[tuple[int, int, int, int]]:
    columns = (items.start, items.end, items.phone, items.context)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def cut(segment: Segment, frames: int = 14, hop: Fraction = GRID, silence: tuple[int, ...] = (9,)) -> AbxItems:
    return abx_items([LABELS], [GRID], [frames], [hop], [0], segment, silence)


def test_triphones_span_their_neighbours() -> None:
    # 9 is silence and -1 unlabelled: only 1 2 3 is a whole triphone, from frame 1 to 10
    assert rows(cut("triphone")) == [(1, 10, 2, 1 * 10 + 3)]


def test_phones_keep_or_drop_their_context() -> None:
    assert rows(cut("phone")) == [(4, 6, 2, 13)]
    assert rows(cut("phone_any")) == [(1, 4, 1, 0), (4, 6, 2, 0), (6, 10, 3, 0), (11, 13, 4, 0), (13, 14, 5, 0)]
    assert len(cut("phone", silence=())) == 2  # 9 1 2 and 1 2 3


@pytest.mark.parametrize("hop", [Fraction(1, 50), GRID, 3 * GRID, Fraction(1, 75), Fraction(1, 25)])
def test_frames_whose_centre_lies_within(hop: Fraction) -> None:
    runs = [(1, 4, 1), (4, 6, 2), (6, 10, 3), (11, 13, 4), (13, 14, 5)]
    total = int(14 * GRID / hop)
    want = []
    for onset, offset, phone in runs:
        inside = [i for i in range(total) if onset * GRID <= (i + Fraction(1, 2)) * hop <= offset * GRID]
        if inside:
            want.append((inside[0], inside[-1] + 1, phone, 0))
    assert rows(cut("phone_any", total, hop)) == want


def test_nothing_to_cut() -> None:
    assert len(abx_items([], [], [], [], [])) == 0
    empty = np.zeros(0, np.int64)
    assert len(abx_items([empty], [Fraction(1, 100)], [0], [Fraction(1, 50)], [0], "phone_any")) == 0
