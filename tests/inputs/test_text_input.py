"""TextInput: vectors of symbols, sentences as the training spelled them, and what cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.errors import UserError
from speechunits.inputs.text_input import TextInput
from speechunits.seq import pad, unpad
from speechunits.text.characters import Characters

SYMBOLS = [" ", "a", "b", "c"]
STREAMS = {"text": Characters(SYMBOLS).stream}
POSITIONS = {"_target_": "speechunits.nn.sinusoidal_positions.SinusoidalPositions"}


def tree(**more: Any) -> dict[str, Any]:
    text = {"_target_": "speechunits.text.characters.Characters", "symbols": SYMBOLS}
    spell = {"_target_": "speechunits.text.normaliser.Normaliser"}
    return {"_target_": "speechunits.inputs.text_input.TextInput", "text": text, "dim": 6, "normaliser": spell, **more}


def make(**more: Any) -> TextInput:
    torch.manual_seed(0)
    made: TextInput = build(tree(**more), streams=STREAMS)
    return made.eval()


def test_a_vector_for_each_symbol_whatever_stands_beside_it() -> None:
    made, rows = make(positions=POSITIONS), [torch.tensor([1, 3, 1, 0]), torch.tensor([2, 2])]
    heard = made({"text": pad(rows, None)})
    assert heard.data.shape == (2, 4, 6) and heard.hop is None and not heard.data[1, 2:].any()
    assert made.lengths({"text": pad(rows, None)}).tolist() == [4, 2]
    for row, ids in zip(unpad(heard), rows, strict=True):
        torch.testing.assert_close(row, made({"text": pad([ids], None)}).data[0])
        torch.testing.assert_close(row, made.vectors(ids) + made.positions(row[None]))
    heard.data.square().sum().backward()
    assert all(p.grad is not None for p in made.parameters())


def test_sentences_are_spelled_as_in_training() -> None:
    ids = make().read(["A cab!", "Bac."])
    assert [row.tolist() for row in unpad(ids)] == [[1, 0, 3, 1, 2], [2, 1, 3]]
    with pytest.raises(UserError, match=r"'d', 'é' of 'dé' not among the 4 symbols"):
        make().read(["a", "Dé"])
    with pytest.raises(UserError, match=r"'\?\.\.' has nothing that can be said"):
        make().read(["a", "?.."])
    with pytest.raises(UserError, match="there is no text to say"):
        make().read([])


def test_other_text_than_that_of_the_data_is_refused() -> None:
    for streams in ({}, {"text": Characters(["a"]).stream}):
        (found,) = check_build(tree(), at="model.input", streams=streams)
        assert "name one in both" in found and Characters(SYMBOLS).fingerprint in found


def test_its_folder_reads_text(tmp_path: Path) -> None:
    made = make(positions=POSITIONS)
    store.save(made, tmp_path / "input")
    back: TextInput = store.restore(tmp_path / "input", expect=TextInput)
    ids = back.read(["A cab!"])
    torch.testing.assert_close(back({"text": ids}).data, made({"text": ids}).data)
    assert back.labels == {"text": Characters(SYMBOLS).fingerprint}
