"""The outside judge hears real and spoken English; where it is not installed, one sentence says so."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from speechunits.data.read_audio import read_audio
from speechunits.errors import UserError
from speechunits.metrics.wer import WER
from speechunits.tasks.outside_judge import OutsideJudge
from speechunits.text.normaliser import Normaliser

needed = pytest.mark.skipif(find_spec("pocketsphinx") is None, reason="pocketsphinx is not installed")


def test_it_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match=r"pocketsphinx is not installed: pip install 'speechunits\[judge\]'"):
        OutsideJudge()


@needed
def test_digits_of_real_speakers(corpora: Path) -> None:
    """Of ten digits by chance one in ten; with nothing but one of them to choose it gets most, although they are at 8 kHz."""
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    judge, right = OutsideJudge(digits, single=True), []
    for path in sorted((corpora / "fsdd" / "recordings").glob("*_0.wav"))[::2]:
        found = judge(read_audio(path).data[0])
        assert found in digits or not found
        right.append(found == digits[int(path.stem[0])])
    assert len(right) == 30 and sum(right) > 18


@needed
def test_what_it_hears_depends_on_nothing_but_the_audio() -> None:
    """Silence, noise and emptiness are no errors, and nothing before matters."""
    judge, noise = OutsideJudge(["yes", "No"]), 0.05 * torch.randn(16000)
    first = judge(noise)
    assert judge(torch.zeros(0)) == "" and judge(torch.zeros(16000)) in ("", "yes", "no")
    judge(0.5 * torch.randn(8000))
    assert judge(noise) == first == OutsideJudge(["yes", "no"])(noise)


@needed
def test_words_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="single: one of which words"):
        OutsideJudge(single=True)
    with pytest.raises(UserError, match="words: pocketsphinx has no pronunciation of xyzzy"):
        OutsideJudge(["yes", "xyzzy"])


@needed
@pytest.mark.slow
def test_real_sentences(corpora: Path) -> None:
    """Sentences of LJSpeech through the language model of its wheel: fewer than half of the words are wrong."""
    judge, spell, measure = OutsideJudge(), Normaliser(), WER()
    said = [line.split("|") for line in (corpora / "ljspeech_excerpt" / "metadata.csv").read_text().splitlines()[:4]]
    waves = [read_audio(corpora / "ljspeech_excerpt" / "wavs" / f"{name}.wav").data[0] for name, *_ in said]
    batch = {"ids": [name for name, *_ in said], "transcript": [spell(text) for *_, text in said]}
    measure.update({"text": [judge(wave) for wave in waves]}, batch)
    assert measure.compute()["wer"] < 50
