"""Guard: what it bans is what a slow reading of its rules bans."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from speechunits.decode.guard import Guard

V = 3


def loops(text: tuple[int, ...], runs: int | None, times: int | None, longest: int) -> bool:
    """Whether ``text`` ends in a group that stands in a row too often."""
    limits = {1: runs} | dict.fromkeys(range(2, longest + 1), times)
    return any(
        limit is not None and len(text) >= n * (limit + 1) and text[-n * (limit + 1) :] == text[-n:] * (limit + 1)
        for n, limit in limits.items()
    )


def again(text: tuple[int, ...], once: int) -> bool:
    groups = [text[i : i + once] for i in range(len(text) - once + 1)]
    return len(text) >= once and groups[-1] in groups[:-1]


@pytest.mark.parametrize(
    "rules",
    [
        {"runs": 1},
        {"runs": 2, "loops": 1},
        {"loops": 2, "longest": 3},
        {"once": 1},
        {"once": 3},
        {"runs": 1, "loops": 1, "longest": 2, "once": 4},
    ],
)
def test_bans_what_its_rules_say(rules: dict[str, int]) -> None:
    guard = Guard(**rules)
    for length in range(8):
        said = torch.tensor(list(itertools.product(range(V), repeat=length)), dtype=torch.int64).view(V**length, length)
        scores, limits = torch.zeros(len(said), V + 1), torch.tensor([[0, 99]]).expand(len(said), 2)
        found = guard(scores, said, limits)
        assert not found[:, V].isinf().any()
        for row, free in zip(said.tolist(), (found[:, :V] == 0).tolist(), strict=True):
            for symbol in range(V):
                text = (*row, symbol)
                banned = loops(text, rules.get("runs"), rules.get("loops"), rules.get("longest", 20))
                banned |= "once" in rules and again(text, rules["once"])
                assert free[symbol] is not banned, text


def test_texts_keep_to_their_limits() -> None:
    scores, said = torch.zeros(3, V + 1), torch.zeros(3, 2, dtype=torch.int64)
    found = Guard()(scores, said, torch.tensor([[3, 5], [2, 5], [0, 2]]))
    assert found.tolist() == [[0.0] * 3 + [-math.inf], [0.0] * 4, [-math.inf] * 3 + [0.0]]


def test_where_nothing_else_may_follow_the_text_ends() -> None:
    found = Guard(once=1)(torch.zeros(1, V + 1), torch.tensor([[2, 0, 1]]), torch.tensor([[9, 9]]))
    assert found.tolist() == [[-math.inf] * 3 + [0.0]]


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="loops is 0: give 1 or more"):
        Guard(loops=0)
