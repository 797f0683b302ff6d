"""Rows, files and warnings of a scored split."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from speechunits.metrics.reading import Reading
from speechunits.metrics.wer import WER
from speechunits.report.results import markdown_table, read_results, write_results
from speechunits.report.scores import score
from speechunits.text.normaliser import Normaliser

READINGS = [
    Reading("b", "Das Haus.", "das maus", "bob", "de", {"nbest": [{"text": "das maus", "score": -1.0}]}),
    Reading("a", "The cat sat!", "the cat sat", "ann", "en"),
    Reading("c", "", "oh", "ann", "en"),
]
ABOUT = {"system": "s", "split": "test"}


def test_rows_and_files(tmp_path: Path, origin: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rows = score(READINGS, WER(normaliser=Normaliser()), ABOUT, tmp_path)
    assert "s on test: 1 of 3 references are empty: c" in caplog.text
    found = {(r.get("language"), r["metric"]): r for r in rows}
    assert found[None, "wer"]["value"] == pytest.approx(100 * 2 / 5) and found[None, "wer"]["utterances"] == 3
    assert found[None, "wer"]["low"] <= 40 <= found[None, "wer"]["high"]
    assert (
        found["de", "wer"]["value"] == 50
        and found["en", "ser"]["value"] == 50
        and found["en", "wer"]["utterances"] == 2
    )
    lines = [json.loads(line) for line in (tmp_path / "s-test.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"] and lines[1]["nbest"] and "nbest" not in lines[0]
    assert lines[0] == {"id": "a", "said": "The cat sat!", "heard": "the cat sat", "speaker": "ann", "language": "en"}
    aligned = (tmp_path / "s-test.alignments.txt").read_text()
    assert "id: (b)\nScores: (#C #S #D #I) 1 1 0 0\nREF:  das HAUS\nHYP:  das MAUS\nEval:     S\n" in aligned
    assert aligned.count("id: (") == 3
    table = (tmp_path / "s-test.speakers.md").read_text().splitlines()
    assert table[0].startswith("| speaker | utterances | wer | cer |") and table[2].startswith("| ann | 2 | 33.33 |")
    assert len((tmp_path / "s-test.languages.md").read_text().splitlines()) == 4
    write_results(tmp_path / "results.json", rows, origin)
    printed = markdown_table(read_results(tmp_path / "results.json"), metrics=["wer"])
    assert [line.split(" | ")[0] for line in printed.splitlines()[2:]] == [
        "| s",
        "| s, language de",
        "| s, language en",
    ]
    assert "[" in printed.splitlines()[2] and "[" not in printed.splitlines()[3]


def test_of_one_language_and_no_speakers(tmp_path: Path) -> None:
    rows = score([Reading("a", "x y", "x", "", "en")], WER(), ABOUT, tmp_path)
    assert {r["metric"] for r in rows} == {"wer", "cer", "insertions", "deletions", "substitutions", "ser"}
    assert len(rows) == 6 and not (tmp_path / "s-test.speakers.md").exists()


def test_where_nothing_was_said(tmp_path: Path, origin: dict[str, str]) -> None:
    rows = score([Reading("a", "", "x"), Reading("b", "", "")], WER(), ABOUT, tmp_path)
    assert all("low" not in row for row in rows if row["metric"] != "ser")
    assert write_results(tmp_path / "results.json", rows, origin)["rows"][0]["value"] is None


def test_over_speakers(tmp_path: Path) -> None:
    """Of one speaker there is nothing to draw: the interval is the figure."""
    rows = score([r for r in READINGS if r.speaker == "ann"], WER(normaliser=Normaliser()), ABOUT, tmp_path, "speakers")
    assert all(row["low"] == row["value"] == row["high"] for row in rows if row["metric"] == "wer")
