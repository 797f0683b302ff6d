"""Trail: what was said on the way to any node."""

from __future__ import annotations

import torch

from speechunits.decode.trail import Trail


def test_every_node_knows_its_way() -> None:
    trail = Trail(2)
    begin = torch.full((2, 2), -1)
    one = trail.grow(begin, torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
    two = trail.grow(one.flip(1), torch.tensor([[5, 6], [7, 8]]), torch.tensor(0.5))
    ids, (symbols, chances) = trail.read(torch.tensor([int(two[0, 0]), -1, int(one[1, 1]), int(two[1, 1])]))
    assert ids.lengths.tolist() == [2, 0, 1, 2]
    assert ids.data.tolist() == [[2, 5], [-1, -1], [4, -1], [3, 8]] and symbols[0].tolist() == [2, 5]
    torch.testing.assert_close(chances[[0, 3]], torch.tensor([[0.2, 0.5], [0.3, 0.5]]))


def test_nothing_said() -> None:
    for trail in (Trail(3), Trail(3)):
        ids, facts = trail.read(torch.tensor([-1, -1]))
        assert ids.data.shape == (2, 0) and ids.lengths.tolist() == [0, 0] and len(facts) == 3
        trail.grow(torch.tensor([-1]), *(torch.tensor([0]),) * 3)
        assert len(trail.read(torch.tensor([-1]))[1]) == 3
