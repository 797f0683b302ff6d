"""regulate: vectors as often as they last, and where each frame lies."""

from __future__ import annotations

import math

import torch

from speechunits.heads.length_regulator import regulate
from speechunits.seq import Seq


def test_by_hand() -> None:
    x = Seq(torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [0.0]]]), torch.tensor([3, 2]), None)
    frames, places = regulate(x, torch.tensor([[2, 0, 1], [1, 3, 0]]))
    assert frames.lengths.tolist() == [3, 4]
    assert frames.data[..., 0].tolist() == [[1, 1, 3, 0], [4, 5, 5, 5]]
    ln = math.log
    expected = [[[0.25, ln(2)], [0.75, ln(2)], [0.5, 0], [0, 0]], [[0.5, 0]] + [[k / 6, ln(3)] for k in (1, 3, 5)]]
    torch.testing.assert_close(places, torch.tensor(expected))


def test_gradients_add_up_over_frames() -> None:
    data = torch.randn(1, 3, 2, requires_grad=True)
    frames, _ = regulate(Seq(data, torch.tensor([3]), None), torch.tensor([[4, 1, 2]]))
    frames.data.sum().backward()
    assert data.grad is not None and data.grad[0].tolist() == [[4, 4], [1, 1], [2, 2]]
