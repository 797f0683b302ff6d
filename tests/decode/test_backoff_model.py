"""Back-off by hand, and sentences for ARPA files that are broken."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest

from speechunits.decode.backoff_model import NEVER, read_model
from speechunits.errors import UserError
from tests.decode.toy_words import ARPA, model


@pytest.mark.parametrize(
    ("words", "log10"),
    [
        ([], -0.3 - 0.7),  # <s> backs off, </s>
        (["a"], -0.4 + (-0.35 - 0.2 - 0.7)),  # a after <s>; <s> a has no </s>, nor has a
        (["a", "b"], -0.4 - 0.15 + (-0.05 - 0.3)),  # the trigram; a b backs off to b </s>
        (["b", "b"], (-0.3 - 0.8) + (-0.1 - 0.8) - 0.3),
        (
            ["ab", "a", "b"],
            (-0.3 - 0.9) - 0.2 - 0.5 + (-0.05 - 0.3),
        ),  # <s> ab is no bigram, ab a is; ab a has no weight
        (["a", "c"], -0.4 + (-0.35 - 0.2 - 1.5) - 0.7),  # c is <unk>
    ],
)
def test_sentences_by_hand(words: list[str], log10: float, tmp_path: Path) -> None:
    assert model(tmp_path).score(words) == pytest.approx(log10 * math.log(10), abs=1e-12)


def test_a_word_without_probability_is_never_said(tmp_path: Path) -> None:
    without = model(tmp_path, ARPA.replace("ngram 1=6", "ngram 1=5").replace("-1.5\t<unk>\n", ""))
    assert without.after(["a"], "c") == NEVER and without.after([], "<s>") == NEVER


def test_gzipped_and_with_a_preface(tmp_path: Path) -> None:
    path = tmp_path / "toy.arpa.gz"
    path.write_bytes(gzip.compress(f"made by hand\n{ARPA}\nand more".encode()))
    assert read_model(path) == model(tmp_path)


def test_words_are_parted_by_spaces_and_tabs_alone(tmp_path: Path) -> None:
    """ "10 000" with the space that no line breaks at."""
    found = model(tmp_path, ARPA.replace("ab", "10\u00a0000").replace("-0.4\t<s>\ta\t-0.35", "-0.4  <s> \ta\t-0.35"))
    assert found.grams["10\u00a0000", "a"] == model(tmp_path).grams["ab", "a"] and ("<s>", "a") in found.grams


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\\end\\", "", r"toy.arpa: ends within its 3-grams; write the file again"),
        ("\\2-grams:", "\\4-grams:", r"toy.arpa:15: '\\4-grams:' where \\2-grams: should stand; write the file again"),
        ("-0.5\ta\tb\t-0.05", "0.5\ta\tb\t-0.05", r"toy.arpa:17: '0.5\ta\tb\t-0.05' is no 2-gram with its logarithms"),
        ("-0.7\t</s>", "-0.7\t</t>", r"toy.arpa: has no </s>; train the model on sentences with"),
    ],
)
def test_what_is_broken(old: str, new: str, says: str, tmp_path: Path) -> None:
    """More in ``test_ngram``."""
    assert old in ARPA
    with pytest.raises(UserError, match=says):
        model(tmp_path, ARPA.replace(old, new))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "half.arpa.gz"
    for content in (gzip.compress(ARPA.encode())[:-20], ARPA.encode()):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"half.arpa.gz: cannot be read \("):
            read_model(path)
