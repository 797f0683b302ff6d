"""Lexicon: there and back, spelled by a tokenizer, words found again in symbols, and a sentence for each bad line."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechunits.errors import UserError
from speechunits.text.characters import Characters
from speechunits.text.lexicon import read_lexicon, spell, write_lexicon
from speechunits.text.subwords import fit_subwords
from tests.decode.toy_words import LETTERS, PHONES, lexicons


def test_there_and_back(tmp_path: Path) -> None:
    """One line for each pronunciation; words keep their order."""
    for lexicon, between in ((lexicons(tmp_path)["phones"], None), (spell(["ab", "a"], LETTERS)[0], " ")):
        write_lexicon(tmp_path / "out.txt", lexicon)
        again = read_lexicon(tmp_path / "out.txt", lexicon.names, lexicon.fingerprint, between)
        assert again == lexicon and list(again.words) == list(lexicon.words)
    assert lexicons(tmp_path)["phones"].words == {"a": ((0,),), "ab": ((0, 1), (0,)), "b": ((1,), (2, 0))}


def test_words_are_spelled_and_the_tokenizer_says_what_parts_them() -> None:
    found, strange = spell(["ab", "cab", "b", "ab", "<s>", "a\u00a0b"], LETTERS)
    assert found.words == {"ab": ((1, 2),), "b": ((2,),)} and strange == ["cab", "<s>", "a\u00a0b"]
    assert found.names == ("<space>", "a", "b") and found.between == 0 and found.fingerprint == LETTERS.fingerprint


def test_pieces_that_carry_the_space_are_parted_by_nothing() -> None:
    text = fit_subwords(["ab a b ba"] * 3, "bpe", 5)
    found, strange = spell(["ab", "b", "c"], text)
    assert set(text.symbols) >= {"▁", "a", "b"} and found.names == text.symbols and strange == ["c"]
    assert found.words == {word: (tuple(text.encode(word).tolist()),) for word in ("ab", "b")} and found.between is None


@pytest.mark.parametrize(
    ("kind", "words", "ids", "places"),
    [
        ("letters", ["a", "ab"], [1, 0, 1, 2], [(0, 1), (2, 4)]),
        ("letters", [], [], []),
        ("phones", ["ab", "b"], [0, 2, 0], [(0, 1), (1, 3)]),
        ("phones", ["ab", "ab"], [0, 0, 1], [(0, 1), (1, 3)]),
        ("silence", ["a", "b"], [3, 0, 3, 1, 3], [(1, 2), (3, 4)]),
        ("silence", ["a", "b"], [0, 2, 0], [(0, 1), (1, 3)]),
        ("silence", [], [3], []),
    ],
)
def test_words_are_found_in_symbols(
    kind: str, words: list[str], ids: list[int], places: list[tuple[int, int]], tmp_path: Path
) -> None:
    assert lexicons(tmp_path)[kind].places(words, ids) == places


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a x\nb\n", r"words.txt:2: 'b' has no pronunciation; write its symbols behind it"),
        ("a x\n\nb q\n", r"words.txt:3: 'b' has 'q', which is not among the 4 symbols of the text tokenizer"),
        ("a x\nb y\na x\n", r"words.txt:3: 'a' is written the same way as in line 1; delete one"),
        ("a x #1\n", r"words.txt:1: 'a' has #1, which graphs and language models keep for themselves; leave it out"),
        ("<s> x\n", r"words.txt:1: '<s>' has <s>, which graphs and"),
        ("<unk> x\n", r"words.txt:1: '<unk>' has <unk>, which graphs and"),
        ("a x _\n", r"words.txt:1: 'a' has the symbol of silence, which parts words; take it out of the line"),
        ("\n", r"words.txt: has no words; write lines of a word and its symbols"),
        ("é".encode("latin-1"), r"words.txt: cannot be read \(not UTF-8\); give a text file"),
        (None, r"words.txt: cannot be read \(No such file"),
    ],
)
def test_bad_lines(text: str | bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=says):
        read_lexicon(path, PHONES.symbols, PHONES.fingerprint, silence="_")


def test_symbols_of_one_name() -> None:
    with pytest.raises(
        UserError, match="two of the 3 symbols of the text tokenizer would be called <space> in files; fit"
    ):
        spell(["a"], Characters([" ", "\u00a0", "a"]))


def test_bad_keys(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a x\n")
    given = (tmp_path / "words.txt", PHONES.symbols, PHONES.fingerprint)
    with pytest.raises(UserError, match=r"between: '<space>' is not among the 4 symbols"):
        read_lexicon(*given, between=" ")
    with pytest.raises(UserError, match="between, silence: words are parted by one of them"):
        read_lexicon(*given, between="_", silence="_")


def test_words_that_cannot_be_spelled() -> None:
    with pytest.raises(UserError, match=r"none of the 2 words \(A, B ...\) can be written in the symbols"):
        spell(["A", "B"], LETTERS)
