"""An ARPA file and a tokenizer to a graph; what is left out is said, what is at fault is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.compile_graph import compile_graph
from speechunits import recipe, store
from speechunits.decode.graph import load_graph
from speechunits.errors import UserError
from speechunits.text.characters import fit_characters
from tests.decode.toy_words import ARPA

pytest.importorskip("kaldifst", reason="kaldifst is not installed: pip install 'speechunits[lattice]'")


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    store.save(fit_characters(["a b"]), tmp_path / "text", kind="text")
    (tmp_path / "toy.arpa").write_text(ARPA)
    return [f"out={tmp_path / 'out'}", f"tokenizer={tmp_path / 'text'}", f"arpa={tmp_path / 'toy.arpa'}"]


def test_spelled_words(given: list[str], tmp_path: Path) -> None:
    mark = recipe.run(compile_graph, given)
    made, meta = load_graph(tmp_path / "out" / "graph"), store.read_meta(tmp_path / "out" / "graph")
    assert sorted(made.words) == ["a", "ab", "b"] and made.lexicon.between == 0
    assert meta["fingerprint"] == mark["fingerprint"] and meta["derived_from"] == [mark["made_from"]["tokenizer"]]
    assert (mark["words"], mark["order"]) == (3, 3) and recipe.run(compile_graph, given) == mark


def test_a_lexicon_file_and_what_it_lacks(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a a\na a a\nb b\nba b a\n")
    recipe.run(compile_graph, [*given, f"lexicon={tmp_path / 'words.txt'}", "between=<space>"])
    made = load_graph(tmp_path / "out" / "graph")
    assert made.lexicon.words == {"a": ((1,), (1, 1)), "b": ((2,),)} and made.lexicon.between == 0
    said = (tmp_path / "out" / "compile.log").read_text()
    assert "1 of 3 words of the language model are not in the lexicon: ab" in said
    assert "1 of 3 words of the lexicon are not in the language model: ba" in said


def test_words_that_the_tokenizer_cannot_write(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "toy.arpa").write_text(ARPA.replace("\tab", "\tAB"))
    recipe.run(compile_graph, given)
    said = (tmp_path / "out" / "compile.log").read_text()
    assert "1 of 3 words of the language model cannot be written by the tokenizer: AB" in said


def test_other_folders_are_refused(given: list[str], tmp_path: Path) -> None:
    recipe.run(compile_graph, given)
    with pytest.raises(UserError, match="graph holds a graph, not a text tokenizer; give the folder text of fit_text"):
        recipe.run(compile_graph, [f"out={tmp_path / 'new'}", f"tokenizer={tmp_path / 'out' / 'graph'}", given[2]])


def test_nothing_half_made(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "toy.arpa").write_text(ARPA.replace("\\end\\", ""))
    with pytest.raises(UserError, match=r"toy.arpa: ends within its 3-grams"):
        recipe.run(compile_graph, given)
    assert not (tmp_path / "out" / "graph").exists() and not (tmp_path / "out" / recipe.MARK).exists()
