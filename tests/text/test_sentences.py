"""sentences: pieces that are said one by one, nothing lost."""

from __future__ import annotations

import pytest

from speechunits.text.sentences import sentences


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" ... \n", []),
        ("one", ["one"]),
        ("One two. Three?  Four!\nfive", ["One two.", "Three?", "Four!", "five"]),
        ("It is 3.5 km, or so.", ["It is 3.5 km, or so."]),
        ('He said: "no." Then he left.', ['He said: "no."', "Then he left."]),
        ("a title\n\nthen a\ntext", ["a title", "then a text"]),
        ("你好。再见！", ["你好。", "再见！"]),
    ],
)
def test_where_sentences_end(text: str, pieces: list[str]) -> None:
    assert sentences(text) == pieces


def test_long_ones_are_parted_at_rests_then_between_words() -> None:
    assert sentences("aaa bbb, ccc ddd, eee", 16) == ["aaa bbb,", "ccc ddd, eee"]
    assert sentences("aaa bbb ccc ddd", 7) == ["aaa bbb", "ccc ddd"]
    assert sentences("abcdefghij kl", 5) == ["abcdefghij", "kl"]


def test_no_word_is_lost() -> None:
    text = "The quick, brown fox; jumps over: the lazy dog. " * 20
    for longest in (10, 40, 200):
        assert " ".join(sentences(text, longest)).split() == text.split()
