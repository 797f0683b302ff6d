from __future__ import annotations

from itertools import product

import pytest
import torch

from speechunits.metrics.best_constant import best_constant
from speechunits.metrics.edit_distance import edit_distance


def test_nothing_does_better_on_a_few_words() -> None:
    said = ["a b c", "a c", "b a c", "c c a", "a b b c"]
    text, rate = best_constant([one.split() for one in said])
    words = sum(len(one.split()) for one in said)

    def cost(guess: tuple[str, ...]) -> int:
        spelled = [
            torch.tensor([ord(w) for w in one], dtype=torch.int64) for one in (guess, *(x.split() for x in said))
        ]
        return int(edit_distance(spelled[:1] * len(said), spelled[1:]).sum())

    least = min(cost(guess) for n in range(6) for guess in product("abc", repeat=n))
    assert cost(tuple(text)) == least and rate == pytest.approx(100 * least / words)


def test_what_is_always_said_is_found_and_silence_is_no_text() -> None:
    text, rate = best_constant([one.split() for one in ("the red hat", "the hat", "the blue hat", "the hat")])
    assert text == ["the", "hat"] and rate == pytest.approx(100 * 2 / 10)
    with pytest.raises(ValueError, match="no reference has a word"):
        best_constant([[], []])
