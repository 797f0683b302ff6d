from __future__ import annotations

import json

import pytest

from speechunits.decode.words import Word
from speechunits.errors import UserError
from speechunits.tasks.subtitles import FORMATS, as_json, captions, clock

SAID = [Word("hello", 0.5, 0.9, 0.75), Word("there", 1.0, 1.4, None), Word("again", 3661.25, 3662.0, 0.5)]


def test_what_each_format_writes() -> None:
    assert FORMATS["txt"](SAID) == "hello there again\n"
    assert FORMATS["srt"](SAID) == (
        "1\n00:00:00,500 --> 00:00:01,400\nhello there\n\n2\n01:01:01,250 --> 01:01:02,000\nagain\n"
    )
    assert FORMATS["vtt"](SAID) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.400\nhello there\n\n01:01:01.250 --> 01:01:02.000\nagain\n"
    )
    found = json.loads(as_json(SAID, "b/a.wav"))
    assert found["audio"] == "b/a.wav" and found["text"] == "hello there again"
    assert found["words"][0] == {"text": "hello", "start": 0.5, "end": 0.9, "confidence": 0.75}
    assert FORMATS["srt"]([]) == "" and FORMATS["txt"]([]) == "\n" and clock(59.9996, ".") == "00:01:00.000"


def test_captions_end_at_pauses_and_when_they_are_full() -> None:
    many = [Word("word" * 3, i * 0.5, i * 0.5 + 0.4, None) for i in range(40)]
    shown = list(captions(many))
    assert [w for caption in shown for w in caption] == many
    for caption in shown:
        assert len(" ".join(w.text for w in caption)) <= 84 and (caption[-1].end or 0) - (caption[0].start or 0) <= 7
    lines = FORMATS["srt"](many).split("\n\n")[0].splitlines()[2:]
    assert len(lines) == 2 and all(len(line) <= 42 for line in lines)


def test_no_line_is_longer_than_42_letters_but_of_one_word() -> None:
    long = [Word("x" * 39, 0, 0.1, None), Word("y" * 5, 0.1, 0.2, None), Word("z" * 37, 0.2, 0.3, None)]
    assert [[len(w.text) for w in caption] for caption in captions(long)] == [[39, 5], [37]]
    assert FORMATS["srt"](long).splitlines()[2:4] == ["x" * 39, "y" * 5]
    assert [line for line in FORMATS["srt"]([Word("w" * 50, 0, 1, None)]).splitlines() if "w" in line] == ["w" * 50]


def test_signs_of_markup_are_escaped_in_webvtt_alone() -> None:
    said = [Word("a<b>", 0.0, 1.0, None), Word("R&D", 1.0, 2.0, None)]
    assert FORMATS["vtt"](said).endswith("\na&lt;b&gt; R&amp;D\n") and FORMATS["srt"](said).endswith("\na<b> R&D\n")


def test_words_without_times_make_no_subtitles() -> None:
    assert FORMATS["txt"]([Word("a", None, None, None)]) == "a\n"
    with pytest.raises(UserError, match="the words have no times, which subtitles need"):
        FORMATS["vtt"]([Word("a", None, None, None)])
