"""Words: a closed vocabulary, and phones."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechunits import store
from speechunits.errors import UserError
from speechunits.text.words import Words, fit_words


def test_there_and_back() -> None:
    text = fit_words(["HH AH0  L OW1", "L AH0"])
    assert text.symbols == ("AH0", "HH", "L", "OW1")
    assert text.encode(" L  OW1 L").tolist() == [2, 3, 2] and text.encode("").tolist() == []
    assert text.decode(text.encode("HH AH0 L OW1")) == "HH AH0 L OW1"


def test_the_fingerprint_is_that_of_the_folder(tmp_path: Path) -> None:
    text = fit_words(["one two"])
    name = store.save(text, tmp_path / "text", kind="text")
    again = store.restore(tmp_path / "text", expect=Words)
    assert name == text.fingerprint == again.fingerprint and again.symbols == ("one", "two")
    assert again.stream.vocab == (2,) and fit_words(["one too"]).fingerprint != name


def test_errors() -> None:
    with pytest.raises(UserError, match="'three' of 'one three' not among the 2 symbols"):
        fit_words(["one two"]).encode("one three")
    with pytest.raises(UserError, match="no text to take words from"):
        fit_words(["", " "])
    for wrong in ([], ["a", "a"], ["a b"], [""]):
        with pytest.raises(ValueError, match="different words"):
            Words(wrong)
