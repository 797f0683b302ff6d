"""Alignments: every one by brute force, the totals of jiwer, and the print of sclite."""

from __future__ import annotations

import random
from functools import cache

import jiwer
import pytest
import torch

from speechunits.metrics.alignment import align, printed
from speechunits.metrics.edit_distance import edit_counts


def counts(aligned: list) -> tuple[int, int, int]:
    return (
        sum(said is None for said, _ in aligned),
        sum(heard is None for _, heard in aligned),
        sum(None not in pair and pair[0] != pair[1] for pair in aligned),
    )


@cache
def best(said: str, heard: str) -> tuple[int, int]:
    """Fewest edits, and of those alignments the fewest substitutions, over all paths."""
    if not said or not heard:
        return len(said) + len(heard), 0
    (e, s), same = best(said[1:], heard[1:]), said[0] == heard[0]
    moved = [best(said[1:], heard), best(said, heard[1:])]
    return min((e + (not same), s + (not same)), *((e + 1, s) for e, s in moved))


def pairs(count: int, most: int, letters: str) -> list[tuple[list[str], list[str]]]:
    draw = random.Random(0)
    return [tuple(draw.choices(letters, k=draw.randint(0, most)) for _ in range(2)) for _ in range(count)]  # type: ignore[misc]


def test_against_all_paths() -> None:
    for said, heard in pairs(300, 7, "abc"):
        found = counts(align(said, heard))
        assert (sum(found), found[2]) == best("".join(said), "".join(heard))


def test_it_is_an_alignment_of_both_sides_and_what_edit_counts_counts() -> None:
    for said, heard in pairs(200, 30, "abcdef"):
        aligned = align(said, heard)
        assert [s for s, _ in aligned if s is not None] == said and [h for _, h in aligned if h is not None] == heard
        ids = [torch.tensor([ord(c) for c in side], dtype=torch.int64) for side in (said, heard)]
        assert counts(aligned) == tuple(edit_counts([ids[0]], [ids[1]])[0].tolist())


def test_totals_are_jiwers() -> None:
    for said, heard in pairs(200, 25, "abcd"):
        if said:
            theirs = jiwer.process_words(" ".join(said), " ".join(heard))
            assert sum(counts(align(said, heard))) == theirs.insertions + theirs.deletions + theirs.substitutions


def test_printed_as_sclite_does() -> None:
    said, heard = ["we", "want", "you", "to", "go"], ["we", "won't", "you", "go", "now"]
    assert printed("spk1-0001", align(said, heard)) == (
        "id: (spk1-0001)\nScores: (#C #S #D #I) 3 1 1 1\n"
        "REF:  we WANT  you TO go ***\n"
        "HYP:  we WON'T you ** go NOW\n"
        "Eval:    S         D     I\n"
    )
    assert printed("a", []) == "id: (a)\nScores: (#C #S #D #I) 0 0 0 0\nREF:\nHYP:\nEval:\n"
    assert printed("b", align([], ["oh"])).endswith("REF:  **\nHYP:  OH\nEval: I\n")


def test_wide_characters_keep_the_columns() -> None:
    lines = printed("zh", align(list("今天好"), ["今", "很", "a"])).splitlines()
    assert lines[2:] == ["REF:  今 天 好", "HYP:  今 很 A", "Eval:    S  S"]


@pytest.mark.parametrize("size", [600])
def test_long_ones_take_no_time(size: int) -> None:
    said = [str(i % 97) for i in range(size)]
    heard = [*said[:100], "x", *said[100:400], *said[403:]]
    assert counts(align(said, heard)) == (1, 3, 0)
