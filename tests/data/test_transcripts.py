"""Transcripts of every kind of file, and a sentence for each way in which one can be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.supervision import AlignmentItem
from lhotse.testing.dummies import dummy_recording

from speechunits.data.transcripts import Transcript, read_transcripts, spoken, voice
from speechunits.errors import UserError

WANT = {"a-1": Transcript("the cat"), "a-2": Transcript("")}


def cut(name: str, *said: tuple[str, str | None, str | None]) -> MonoCut:
    recording = dummy_recording(0, duration=1.0)
    supervisions = [
        SupervisionSegment(f"{name}{i}", recording.id, 0, 1.0, text=text, speaker=speaker, language=language)
        for i, (text, speaker, language) in enumerate(said)
    ]
    return MonoCut(name, 0, 1.0, 0, recording=recording, supervisions=supervisions)


def test_words_in_time() -> None:
    made = cut("a", ("in the house", None, None))
    assert spoken(made) == []
    items = [AlignmentItem("in the", 0.1, 0.4), AlignmentItem("house", 0.5, 0.2)]
    made.supervisions[0].alignment = {"word": items}
    assert [(word, round(when, 6)) for word, when in spoken(made)] == [("in", 0.2), ("the", 0.4), ("house", 0.6)]


def test_a_manifest(tmp_path: Path) -> None:
    made = [cut("x", ("hi there", "ann", "en")), cut("y", ("oh", None, None))]
    for name in ("cuts.jsonl", "cuts.jsonl.gz"):
        CutSet.from_cuts(made).to_file(tmp_path / name)
        assert read_transcripts(tmp_path / name) == {"x": Transcript("hi there", "ann", "en"), "y": Transcript("oh")}
    assert voice(cut("z", ("a", "ann", "en"), ("b", "bob", "en"))) == ("", "en") and voice(cut("z")) == ("", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("text", "a-1 the cat\na-2\n"),
        ("text", "\na-1\tthe cat\n\na-2 \n"),
        ("hyp.trn", "the cat (a-1)\n(a-2)\n"),
        ("hyp.jsonl", '{"id": "a-1", "text": "the cat"}\n{"id": "a-2", "text": ""}\n'),
    ],
)
def test_lines(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_transcripts(tmp_path / name) == WANT


def test_what_recognition_writes_is_both_sides(tmp_path: Path) -> None:
    line = '{"id": "a", "said": "the", "heard": "a", "speaker": "ann", "language": "en", "nbest": []}\n'
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.write(line)
    assert read_transcripts(tmp_path / "x.jsonl.gz", ("said", "text"))["a"] == ("the", "ann", "en")
    assert read_transcripts(tmp_path / "x.jsonl.gz", ("heard", "text"))["a"].text == "a"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("text", b"a one\na two\n", "the id a comes twice; give every utterance its own"),
        ("text", b"\n\n", "is empty; run the stage that writes it again"),
        ("text", b"a \xff\xfe\n", "cannot be read as text"),
        ("x.jsonl.gz", b"no gzip", "cannot be read as text"),
        ("x.trn", b"a one\n", "line 1: does not end with an id in parentheses"),
        ("x.jsonl", b'{"id": "a", "text": "b"}\nx\n', "line 2: is not JSON"),
        ("x.jsonl", b'{"id": 3, "text": "b"}\n', "line 1: has no id; each line needs id and text"),
        ("x.jsonl", b'{"id": "a", "txt": "b"}\n', "line 1: a has no text"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=says) as found:
        read_transcripts(tmp_path / name)
    assert str(tmp_path / name) in str(found.value) and "\n" not in str(found.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; correct the path"):
        read_transcripts(tmp_path / "text")
