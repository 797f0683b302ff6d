"""Transcriber: windows say what the whole says, and nothing twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits.data.audio_windows import audio_windows
from speechunits.decode.words import Word
from speechunits.errors import UserError
from speechunits.seq import Seq
from speechunits.tasks.asr import ASR
from speechunits.tasks.listening import Listening
from speechunits.tasks.transcriber import Transcriber, moved, seam
from tests.tasks.hears import FILTERBANK, hears

SECONDS = 20.0


@pytest.fixture(scope="module")
def model() -> ASR:
    return hears(FILTERBANK)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "long.flac"
    random = np.random.default_rng(0)
    level = np.repeat(random.uniform(-3, 0, int(SECONDS * 10)), 1600)
    soundfile.write(path, 0.3 * 10**level * random.uniform(-1, 1, len(level)), 16000)
    return path


def spoken(model: ASR, path: Path, **how: float) -> list[Word]:
    return list(Transcriber(model, Listening(model))(audio_windows(path, **how)))


@pytest.mark.parametrize(("seconds", "overlap"), [(8.0, 4.0), (12.0, 3.2), (8.0, 6.4)])
def test_windows_say_what_the_whole_says(model: ASR, sound: Path, seconds: float, overlap: float) -> None:
    whole, parts = spoken(model, sound, seconds=60), spoken(model, sound, seconds=seconds, overlap=overlap)
    assert len(whole) > 40 and len({word.text for word in whole}) > 5
    assert [word.text for word in parts] == [word.text for word in whole]
    for a, b in zip(parts, whole, strict=True):
        assert (a.start, a.end) == (pytest.approx(b.start), pytest.approx(b.end)) and 0 < (b.confidence or 0) <= 1
    times = [word.start or 0.0 for word in whole]
    assert times == sorted(times) and times[0] >= 0 and (whole[-1].end or 0) <= SECONDS


def word(start: float, end: float) -> Word:
    return Word("x", start, end, None)


def test_the_seam_lies_in_the_longest_pause_of_both() -> None:
    before, after = [word(9, 11), word(11.5, 12), word(13.4, 15)], [word(10, 11.1), word(11.4, 12.2), word(13.5, 14)]
    assert seam(before, after, 10, 15) == pytest.approx((12.2 + 13.4) / 2)
    assert seam([word(9, 16)], [], 10, 15) == 12.5  # nothing is silent
    assert seam([], [], 10, 15) == 12.5
    assert seam([word(10.2, 15)], [], 10, 15) == pytest.approx(10.1)  # silent at its edge alone


def test_no_word_is_said_twice_where_three_windows_hear_it(model: ASR, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third one hears b later, so that the longest pause lies before it; but b has been said."""
    a, b, later, c = (
        Word("a", 4, 7.2, None),
        Word("b", 7.2, 7.9, None),
        Word("b", 7.7, 8.4, None),
        Word("c", 9, 13, None),
    )
    windows = [
        (start, Seq(torch.zeros(1, 100), torch.tensor([100]), Fraction(1, 10)), start == 6) for start in (0, 3, 6)
    ]
    told = iter([[a, b], [moved(w, -3) for w in (a, b, c)], [moved(w, -6) for w in (later, c)]])
    monkeypatch.setattr(Transcriber, "heard", lambda *_: next(told))
    assert [word.text for word in Transcriber(model, Listening(model))(windows)] == ["a", "b", "c"]


def test_too_short_for_a_frame_is_said_of_a_file_and_is_nothing_at_its_end(model: ASR, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    with pytest.raises(UserError, match="too short for one frame"):
        spoken(model, tmp_path / "short.wav")
    soundfile.write(tmp_path / "rest.wav", np.zeros(48100), 16000)
    assert spoken(model, tmp_path / "rest.wav", seconds=3, overlap=0)


def test_a_model_of_audio_takes_no_subwords(model: ASR) -> None:
    with pytest.raises(UserError, match="hears audio and reads no units"):
        Listening(model, subwords=[torch.nn.Identity()])
