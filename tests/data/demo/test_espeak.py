from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from speechunits.data.demo.espeak import Espeak
from speechunits.data.demo.speaker import Speaker
from speechunits.errors import UserError

SPEECH: dict[str, Any] = {"language": "en-us", "variant": "f00", "rate": 175, "pitch": 50, "pitch_range": 50, "seed": 1}


@pytest.fixture(scope="module")
def espeak(espeak_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Espeak:
    """Its own place in this process: what it says first must not matter to anyone else."""
    espeak = Espeak(tmp_path_factory.mktemp("espeak"))
    espeak.learn(Speaker("f00"))
    return espeak


def test_events_are_in_order_and_inside_the_audio(espeak: Espeak) -> None:
    audio, events = espeak.speak("hello world.", **SPEECH)
    samples = [event.sample for event in events]
    assert espeak.sampling_rate == 22050 and espeak.version.startswith("1.")
    assert samples == sorted(samples) and samples[0] >= 0 and samples[-1] <= len(audio)
    assert 0.4 < len(audio) / espeak.sampling_rate < 2


@pytest.mark.parametrize(
    ("change", "message"),
    [({"variant": "nosuch"}, "nosuch"), ({"language": "en-gb"}, "en-gb"), ({"rate": 450}, "450")],
)
def test_what_espeak_would_pass_over_is_refused(espeak: Espeak, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        espeak.speak("hello", **{**SPEECH, **change})


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"pip install 'speechunits\[demo\]'"):
        Espeak(tmp_path)
