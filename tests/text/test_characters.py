"""Characters: there and back, one fingerprint wherever it was built, and a sentence for what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.errors import UserError
from speechunits.text.characters import Characters, fit_characters


def test_there_and_back() -> None:
    text = fit_characters(["bad  cab ", "a\tb"])
    assert text.symbols == (" ", "a", "b", "c", "d")
    assert text.encode(" a  bad cab").tolist() == [1, 0, 2, 1, 4, 0, 3, 1, 2]
    assert text.decode(text.encode("a  bad cab")) == "a bad cab"
    assert text.decode(torch.tensor([0, 0, 1, 0, 0])) == "a" and text.encode("").tolist() == []


def test_the_fingerprint_is_that_of_the_folder(tmp_path: Path) -> None:
    text = fit_characters(["abc"])
    name = store.save(text, tmp_path / "text", kind="text")
    again = store.restore(tmp_path / "text", expect=Characters)
    assert name == text.fingerprint == again.fingerprint == Characters(["a", "b", "c"]).fingerprint
    assert again.symbols == text.symbols and again.stream.vocab == (3,) and again.stream.hop is None
    assert fit_characters(["abd"]).fingerprint != name


def test_errors() -> None:
    with pytest.raises(UserError, match=r"'é' of 'café' not among the 3 symbols"):
        fit_characters(["caf"]).encode("café")
    with pytest.raises(UserError, match="no text to take characters from"):
        fit_characters(["", " "])
    for wrong in ([], ["a", "a"], ["ab"]):
        with pytest.raises(ValueError, match="different single characters"):
            Characters(wrong)
