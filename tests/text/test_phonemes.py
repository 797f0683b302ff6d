"""Phonemes: phones, spaces and marks, one fingerprint wherever it was built, and a sentence for what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.text.espeak_phones import EspeakPhones
from speechunits.text.phonemes import Phonemes, fit_phonemes

NODE = {"_target_": "speechunits.text.espeak_phones.EspeakPhones", "language": "en-us"}


@pytest.fixture
def pronounce() -> Any:
    pytest.importorskip("espeakng_loader", reason="pip install 'speechunits[phones]'")
    return build(NODE)


def test_words_become_phones(pronounce: EspeakPhones) -> None:
    assert pronounce("hello world") == [["h", "ə", "l", "ˈ", "oʊ"], ["w", "ˈ", "ɜː", "l", "d"]]
    assert pronounce("2 cats") == [["t", "ˈ", "uː"], ["k", "ˈ", "æ", "t", "s"]]
    assert pronounce("") == [] and pronounce("...") == []
    assert build({**NODE, "language": "de"})("ja") == [["j", "ˈ", "ɑː"]]
    assert pronounce("hello world") == [["h", "ə", "l", "ˈ", "oʊ"], ["w", "ˈ", "ɜː", "l", "d"]]  # the voice goes back


def test_marks_stand_behind_their_words(pronounce: EspeakPhones) -> None:
    text = fit_phonemes(["Hello, world!"], pronounce)
    assert text.decode(text.encode("Hello, world!")) == "həlˈoʊ, wˈɜːld!"
    assert text.decode(text.encode("  ,hello   world ")) == "həlˈoʊ wˈɜːld" and text.encode("?!,").tolist() == []
    assert set(text.symbols) == {" ", "!", ",", "d", "h", "l", "oʊ", "w", "ə", "ɜː", "ˈ"}


def test_a_phone_that_nobody_said_is_named(pronounce: EspeakPhones) -> None:
    text = fit_phonemes(["hello world"], pronounce)
    with pytest.raises(UserError, match=r"'k', 'æ' of 'hello cad' not among the 9 symbols"):
        text.encode("hello cad")
    with pytest.raises(UserError, match="no text to take phones from"):
        fit_phonemes(["", "..."], pronounce)


def test_the_fingerprint_is_that_of_the_folder(pronounce: EspeakPhones, tmp_path: Path) -> None:
    text = fit_phonemes(["hello, world"], pronounce)
    name = store.save(text, tmp_path / "text", kind="text")
    again = store.restore(tmp_path / "text", expect=Phonemes)
    assert name == text.fingerprint == again.fingerprint and again.stream.vocab == (len(text.symbols),)
    assert again.encode("world").tolist() == text.encode("world").tolist()
    german = fit_phonemes(["hello, world"], build({**NODE, "language": "de"}))
    assert german.fingerprint != name


def test_what_espeak_does_not_know_is_said(pronounce: EspeakPhones) -> None:
    with pytest.raises(UserError, match="no voice for language 'xx'"):
        build({**NODE, "language": "xx"})("hello")
    with pytest.raises(ValueError, match="different phones"):
        Phonemes(["a", "a"], pronounce)
