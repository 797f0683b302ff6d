from __future__ import annotations

import torch

from speechunits.nn.memory import Memory


def test_the_last_frames_come_back_before_the_next() -> None:
    first = Memory()
    assert first.extend(torch.arange(5)[None], 3, 1).tolist() == [[0, 1, 2, 3, 4]]
    assert first.extend(torch.arange(50, 52)[None], None, 1).tolist() == [[50, 51]]
    second = Memory(first.kept)
    assert second.extend(torch.arange(5, 7)[None], 3, 1).tolist() == [[2, 3, 4, 5, 6]]
    assert second.extend(torch.arange(52, 53)[None], None, 1).tolist() == [[50, 51, 52]]
    assert [kept.tolist() for kept in second.kept] == [[[4, 5, 6]], [[50, 51, 52]]]


def test_nothing_is_remembered_where_nothing_is_wanted() -> None:
    first = Memory()
    first.extend(torch.arange(5)[None], 0, 1)
    assert Memory(first.kept).extend(torch.arange(2)[None], 0, 1).tolist() == [[0, 1]]
