"""Prefixes that know their equals, and the best of many by value and order."""

from __future__ import annotations

import torch

from speechunits.decode.prefixes import NEVER, first_best, longer, merge_equal


def test_different_prefixes_have_different_numbers() -> None:
    level, found = torch.zeros(1, dtype=torch.int64), [torch.zeros(1, dtype=torch.int64)]
    for _ in range(7):  # all texts of four symbols, one longer each time
        level = longer(level[:, None], torch.arange(4)).flatten()
        found.append(level)
    assert len(torch.cat(found).unique()) == sum(4**n for n in range(8))
    at, again = torch.tensor(0), []
    for _ in range(3000):
        at = longer(at, torch.tensor(0))
        again.append(int(at))
    assert len({0, *again}) == 3001 and torch.equal(found[3][0], torch.tensor(again[2]))


def test_the_first_of_equal_values_comes_first() -> None:
    scores = torch.tensor([[1.0, 3, 2, 3, 2, 2, NEVER], [5, 4, 3, 2, 1, 0, NEVER]])
    values, places = first_best(scores, 4)
    assert values.tolist() == [[3, 3, 2, 2], [5, 4, 3, 2]] and places.tolist() == [[1, 3, 2, 4], [0, 1, 2, 3]]
    many = torch.zeros(1, 5000)
    assert first_best(many, 100)[1].tolist() == [list(range(100))]
    assert first_best(scores, 9)[0].shape == (2, 7)


def test_the_best_are_those_of_a_stable_sort() -> None:
    """Of few different values, some of them -inf, in rows of which some have a tie where the chosen end."""
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        kinds, count = (int(torch.randint(1, most, (1,), generator=g)) for most in (40, 45))
        scores = torch.randint(-6, 6, (3, 2, kinds), generator=g).double()
        scores[scores == -6] = NEVER
        values, places = first_best(scores, count)
        want, order = (each[..., :count] for each in scores.sort(dim=-1, descending=True, stable=True))
        assert values.equal(want) and places.masked_fill(want == NEVER, 0).equal(order.masked_fill(want == NEVER, 0))


def test_the_likeliest_of_equal_prefixes_has_them_all() -> None:
    chances = torch.tensor([[0.1, 0.2, 0.3, 0.1, 0.0, 0.1]]).double()
    prefix = torch.tensor([[7, 8, 7, 9, 8, 9]])
    merged = merge_equal(prefix, chances.log()).exp()
    torch.testing.assert_close(merged, torch.tensor([[0, 0.2, 0.4, 0.2, 0, 0]]).double())
