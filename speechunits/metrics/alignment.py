"""Which word was heard for which, and how to print it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from speechunits.metrics.edit_distance import ONE

Aligned = list[tuple[str | None, str | None]]
BOTH, DELETED, INSERTED = range(3)


def align(said: Sequence[str], heard: Sequence[str]) -> Aligned:
    """Pairs of what was said and heard, None where nothing stands on that side: the alignment that ``edit_counts`` counts.

    Of several with equally few edits and as much right, the one that goes on diagonally as long as it can from the end.
    One byte for each pair of a word said and a word heard.
    """
    number: dict[str, int] = {}
    a, b = (np.array([number.setdefault(s, len(number)) for s in side], np.int64) for side in (said, heard))
    column = ONE * np.arange(len(b) + 1)
    moves = np.full((len(a) + 1, len(b) + 1), INSERTED, np.uint8)
    moves[1:, 0] = DELETED
    cost = column
    for i, symbol in enumerate(a, 1):
        matched, deleted = cost[:-1] + (ONE + 1) * (symbol != b), cost[1:] + ONE
        best = np.concatenate([[i * ONE], np.minimum(matched, deleted)])
        cost = np.minimum.accumulate(best - column) + column  # as in edit_distance: a row's insertions at once
        moves[i, 1:] = np.where(cost[1:] == matched, BOTH, np.where(cost[1:] == deleted, DELETED, INSERTED))
    out: Aligned = []
    i, j = len(a), len(b)
    while i or j:
        move = moves[i, j]
        i, j = i - (move != INSERTED), j - (move != DELETED)
        out.append((None if move == INSERTED else said[i], None if move == DELETED else heard[j]))
    return out[::-1]


def printed(name: str, aligned: Aligned) -> str:
    """One utterance as sclite's ``pralign`` prints it: scores, REF and HYP with errors in capitals, I, D and S below."""
    marks = [_mark(*pair) for pair in aligned]
    counts = " ".join(str(marks.count(mark)) for mark in " SDI")
    lines = [f"id: ({name})", f"Scores: (#C #S #D #I) {counts}"]
    columns: list[list[str]] = []
    for (said, heard), mark in zip(aligned, marks, strict=True):
        pair = [said, heard] if mark == " " else [None if x is None else x.upper() for x in (said, heard)]
        width = max(_width(x) for x in pair if x is not None)
        cells = ["*" * width if x is None else x for x in pair] + [mark.strip()]
        columns.append([cell + " " * (width - _width(cell)) for cell in cells])
    for label, row in zip(
        ("REF: ", "HYP: ", "Eval:"), zip(*columns, strict=True) if columns else [()] * 3, strict=True
    ):
        lines.append(" ".join([label, *row]).rstrip())
    return "\n".join(lines) + "\n"


def _mark(said: str | None, heard: str | None) -> str:
    return "I" if said is None else "D" if heard is None else " " if said == heard else "S"


def _width(text: str) -> int:
    """Columns of a terminal: Chinese and Japanese characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) == "Mn" for c in text)
