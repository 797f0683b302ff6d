from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from speechunits.errors import UserError
from speechunits.seq import pad
from speechunits.units.dedup import Dedup
from speechunits.units.unit_lines import joined, read_lines, write_line
from speechunits.units.units import Units

HOP = Fraction(1, 50)


def units(*ids: int, books: int = 1) -> Units:
    rows = torch.tensor(ids).reshape(-1, books)
    return Units(pad([rows], HOP), (9,) * books, "abc")


@pytest.mark.parametrize("books", [1, 2])
def test_there_and_back(books: int, tmp_path: Path) -> None:
    given = units(1, 1, 1, 1, 5, 8, books=books)
    merged = Dedup()(given)
    bare = Units(merged.ids, merged.vocab, "abc")
    (tmp_path / "u.jsonl").write_text("\n".join(write_line(f"{i}.wav", u) for i, u in enumerate((given, merged, bare))))
    lines = read_lines(tmp_path / "u.jsonl")
    assert [line.audio for line in lines] == ["0.wav", "1.wav", "2.wav"]
    for line, wanted in zip(lines, (given, merged, bare), strict=True):
        found = joined([line])
        assert found.ids.data.equal(wanted.ids.data) and found.ids.hop == wanted.ids.hop
        assert (found.vocab, found.fingerprint) == (wanted.vocab, "abc")
        assert (found.durations is None) == (wanted.durations is None)
        if found.durations is not None and wanted.durations is not None:
            assert found.durations.data.equal(wanted.durations.data) and found.durations.hop == HOP
    assert len({line.kind for line in lines}) == 3
    assert joined([lines[0], lines[0]]).ids.lengths.tolist() == [len(given.ids.data[0])] * 2


GOOD = {"audio": "a.wav", "units": [1, 2], "hop": "1/50", "vocab": [9], "fingerprint": "abc"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "Expecting value"),
        ("[1, 2]", "no JSON object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "vocab"}), "'vocab' is missing"),
        (json.dumps(GOOD | {"units": [1, 2.5]}), "lists of whole numbers"),
        (json.dumps(GOOD | {"units": "1 2"}), "lists of whole numbers"),
        (json.dumps(GOOD | {"units": [True]}), "lists of whole numbers"),
        (json.dumps(GOOD | {"vocab": [9, 9]}), "a unit is to have 2 ids, one of each codebook"),
        (json.dumps(GOOD | {"durations": [1]}), "durations are to be one number above 0 for each unit"),
        (json.dumps(GOOD | {"durations": [1, 0]}), "durations are to be one number above 0 for each unit"),
        (json.dumps(GOOD | {"units": [[1], [2, 3, 4]], "vocab": [9, 9]}), "a unit is to have 2 ids"),
        (json.dumps(GOOD | {"units": [10**30]}), "Overflow"),
        (json.dumps(GOOD | {"hop": "often"}), "often"),
        (json.dumps(GOOD | {"hop": "1/0"}), "1, 0"),
    ],
)
def test_a_line_that_is_none_is_named(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "u.jsonl").write_text(f"{json.dumps(GOOD)}\n\n{line}\n")
    with pytest.raises(
        UserError, match=r"u\.jsonl, line 3: .*; give the lines that speechunits encode writes"
    ) as found:
        read_lines(tmp_path / "u.jsonl")
    assert says in str(found.value)


def test_files_without_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    for name, says in (
        ("empty", "has no line"),
        ("binary", "cannot be read (it is no text)"),
        ("missing", "cannot be read (No such file"),
    ):
        with pytest.raises(UserError) as found:
            read_lines(tmp_path / f"{name}.jsonl")
        assert says in str(found.value)
