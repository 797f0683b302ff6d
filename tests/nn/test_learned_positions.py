"""LearnedPositions: one vector for each place, and the last one for all that come later."""

from __future__ import annotations

import torch

from speechunits.nn.learned_positions import LearnedPositions


def test_places_have_vectors_that_learn() -> None:
    positions, x = LearnedPositions(4, dim=3), torch.empty(2, 3, 3)
    assert torch.equal(positions(x), positions.table.weight[:3])
    assert torch.equal(positions(x, start=2), positions.table.weight[[2, 3, 3]])
    positions(x, start=2).sum().backward()
    assert positions.table.weight.grad is not None
    assert positions.table.weight.grad.tolist() == [[0.0] * 3, [0.0] * 3, [1.0] * 3, [2.0] * 3]
