from __future__ import annotations

import pytest

from speechunits.data.transcripts import Transcript
from speechunits.errors import UserError
from speechunits.metrics.reading import batch_of, pair

SAID = {"b": Transcript("two", "ann", "en"), "a": Transcript("one")}


def test_both_sides_by_id() -> None:
    readings = pair(SAID, {"a": Transcript("won"), "b": Transcript("too")}, ("ref", "hyp"))
    assert [(r.id, r.said, r.heard, r.speaker, r.language) for r in readings] == [
        ("a", "one", "won", "", ""),
        ("b", "two", "too", "ann", "en"),
    ]
    outputs, batch = batch_of(readings)
    assert outputs == {"text": ["won", "too"]} and batch["languages"] == ["", "en"] and batch["ids"] == ["a", "b"]


def test_what_stands_alone_is_counted_and_named() -> None:
    heard = {name: Transcript("x") for name in "abcdef"}
    with pytest.raises(UserError, match=r"hyp: 4 of 6 utterances have no reference in ref \(c, d, e and 1 more\)"):
        pair(SAID, heard, ("ref", "hyp"))
    with pytest.raises(UserError, match=r"ref: 1 of 2 utterances have no hypothesis in hyp \(b\); add them there"):
        pair(SAID, {"a": Transcript("x")}, ("ref", "hyp"))
