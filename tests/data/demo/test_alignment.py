from __future__ import annotations

import numpy as np
import pytest

from speechunits.data.demo.alignment import Interval, align
from speechunits.data.demo.espeak import PHONE, WORD, Event

RATE = 1000  # a sample is a millisecond


def _events(*rows: tuple[int, int, int, str]) -> list[Event]:
    return [Event(kind, position, 1, sample, name) for kind, position, sample, name in rows]


def test_stress_language_marks_and_pauses() -> None:
    """ "(en)" is no sound, stress goes to its own field, neighbouring pauses become one, empty phones vanish."""
    audio = np.full(100, 5000, np.int16)
    events = _events(
        (WORD, 1, 10, ""), (PHONE, 1, 10, "(en)"), (PHONE, 1, 10, "ˈaɪ"), (PHONE, 1, 40, "ˌm"), (PHONE, 1, 60, "x"),
        (PHONE, 1, 60, ""), (PHONE, 1, 80, ""),
    )  # fmt: skip
    words, phones = align(events, audio, RATE, "I'm")
    assert phones == [
        Interval("sil", 0.0, 0.01),
        Interval("aɪ", 0.01, 0.04, 1),
        Interval("m", 0.04, 0.06, 2),
        Interval("sil", 0.06, 0.1),
    ]
    assert words == [Interval("I'm", 0.01, 0.06)]


@pytest.mark.parametrize(("quiet", "start"), [(30, 0.17), (150, 0.12)])
def test_a_stop_starts_where_the_sound_ceased(quiet: int, start: float) -> None:
    """The closure before the burst at 200 ms belongs to the stop, up to 80 ms of it."""
    audio = np.full(300, 5000, np.int16)
    audio[200 - quiet : 200] = 0
    events = _events((WORD, 1, 0, ""), (PHONE, 1, 0, "æ"), (PHONE, 1, 200, "t"), (PHONE, 1, 250, "s"))
    _, phones = align(events, audio, RATE, "ats")
    assert phones == [Interval("æ", 0.0, start), Interval("t", start, 0.25), Interval("s", 0.25, 0.3)]


def test_only_stops_move() -> None:
    audio = np.full(300, 5000, np.int16)
    audio[170:200] = 0
    events = _events((WORD, 1, 0, ""), (PHONE, 1, 0, "æ"), (PHONE, 1, 200, "s"))
    _, phones = align(events, audio, RATE, "as")
    assert phones[1] == Interval("s", 0.2, 0.3)


def test_two_words_under_one_event() -> None:
    """eSpeak speaks "in the" as one word and reports the length of "in"; positions count from 1."""
    audio = np.full(90, 5000, np.int16)
    events = _events(
        (WORD, 1, 0, ""), (PHONE, 1, 0, "ɪ"), (PHONE, 1, 20, "n"), (PHONE, 1, 40, "ð"),
        (WORD, 8, 60, ""), (PHONE, 8, 60, "ɛ"),
    )  # fmt: skip
    words, _ = align(events, audio, RATE, "in the end")
    assert words == [Interval("in the", 0.0, 0.06), Interval("end", 0.06, 0.09)]
