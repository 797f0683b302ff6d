from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechunits.data.audio_windows import audio_windows
from speechunits.data.read_audio import read_audio
from speechunits.errors import UserError


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).normal(0, 0.1, (16000 * 23 + 77, 2))
    soundfile.write(tmp_path / "a.flac", samples, 16000)
    return tmp_path / "a.flac"


@pytest.mark.parametrize(
    ("seconds", "overlap", "count"), [(5.0, 1.0, 6), (5.0, 0.0, 5), (20.0, 3.5, 1), (10.0, 6.5, 3)]
)
def test_windows_hold_every_sample_once_or_in_two_overlapping_ones(
    sound: Path, seconds: float, overlap: float, count: int
) -> None:
    whole = torch.from_numpy(soundfile.read(sound, dtype="float32")[0].mean(1, dtype=np.float32))
    windows = list(audio_windows(sound, seconds=seconds, overlap=overlap))
    assert len(windows) == count and [w.last for w in windows] == [False] * (count - 1) + [True]
    end = 0
    for window in windows:
        start = round(window.start * 16000)
        samples = window.audio.data[0]
        assert start == max(0, end - round(overlap * 16000)) and len(samples) <= (seconds + overlap) * 16000
        end = start + len(samples)
        torch.testing.assert_close(samples, whole[start:end])
    assert end == len(whole)


def test_other_rates_are_resampled_window_by_window(tmp_path: Path) -> None:
    time = np.arange(8000 * 12) / 8000
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * time), 8000)
    for window in audio_windows(tmp_path / "a.wav", seconds=5, overlap=1):
        here = window.start + np.arange(window.audio.data.size(1)) / 16000
        inside = slice(800, -800)
        wanted = torch.from_numpy(0.3 * np.sin(2 * np.pi * 440 * here)).float()
        torch.testing.assert_close(window.audio.data[0, inside], wanted[inside], atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ["missing", "empty", "text", "folder", "silent"])
def test_what_is_no_audio_is_named(tmp_path: Path, name: str) -> None:
    says = {"missing": "there is no such file", "empty": "the file is empty", "text": "no known format, or damaged"}
    says |= {"folder": "it is a folder", "silent": "no samples"}
    if name in ("empty", "text"):
        (tmp_path / name).write_text("" if name == "empty" else "no audio at all" * 99)
    elif name == "folder":
        (tmp_path / name).mkdir()
    elif name == "silent":
        soundfile.write(tmp_path / name, np.zeros(0), 16000, format="wav")
    for read in (audio_windows, read_audio):
        with pytest.raises(UserError, match=rf"{name}: cannot be read as audio \({says[name]}\)"):
            list(read(tmp_path / name))


def test_windows_that_do_not_get_ahead_are_refused(sound: Path) -> None:
    with pytest.raises(UserError, match="windows of 5 s that overlap by 5 s do not get ahead"):
        list(audio_windows(sound, seconds=5, overlap=5))
