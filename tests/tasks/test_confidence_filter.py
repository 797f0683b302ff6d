"""ConfidenceFilter by hand: words, confidence, share, ties."""

from __future__ import annotations

from typing import Any

import pytest

from speechunits.errors import UserError
from speechunits.metrics.reading import Reading
from speechunits.tasks.confidence_filter import ConfidenceFilter


def reading(name: str, heard: str, sure: float | None) -> Reading:
    return Reading(name, "", heard, more={} if sure is None else {"confidence": sure})


READINGS = [
    reading("d", "one two", 0.9),
    reading("a", "one two three", 0.9),
    reading("b", "one two", 0.95),
    reading("c", "one", 0.99),
    reading("e", "one two", 0.5),
    reading("f", "", None),
]


def test_everything_that_has_words() -> None:
    kept, left_out = ConfidenceFilter()(READINGS)
    assert set(kept) == set("abcde") and left_out == {"f": "fewer than 1 words"}
    assert kept["a"] == ("one two three", 0.9)


def test_words_then_confidence_then_the_surest() -> None:
    kept, left_out = ConfidenceFilter(min_confidence=0.8, keep=2 / 3, min_words=2)(READINGS)
    assert set(kept) == {"a", "b"}  # of a and d, which are equal, the first
    assert left_out == {
        "c": "fewer than 2 words",
        "f": "fewer than 2 words",
        "e": "confidence below 0.8",
        "d": "not among the most confident 0.666667",
    }
    assert ConfidenceFilter(min_confidence=0.8, keep=2 / 3, min_words=2)(READINGS[::-1]) == (kept, left_out)
    assert set(ConfidenceFilter(keep=0.01)(READINGS)[0]) == {"c"} and ConfidenceFilter()([]) == ({}, {})


@pytest.mark.parametrize(
    ("how", "says"), [({"min_confidence": 90}, "lie between 0 and 1"), ({"keep": 0}, "share of the utterances to keep")]
)
def test_shares_beyond_all(how: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ConfidenceFilter(**how)


def test_a_search_that_is_never_sure() -> None:
    with pytest.raises(UserError, match="g: the search does not say how sure it is"):
        ConfidenceFilter()([reading("g", "one", None)])
