"""H against the collapse of every path, G against every way through the back-offs, marks by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from speechunits.decode import kaldi
from speechunits.decode.transducers import aligned, grammar, lexicon_transducer, marked
from tests.decode.toy_words import ARPA, grammar_score, lexicons, model

kaldifst = pytest.importorskip("kaldifst", reason="kaldifst is not installed: pip install 'speechunits[lattice]'")


def line(labels: list[int]):  # type: ignore[no-untyped-def]
    return kaldi.transducer(((i, i + 1, label, label, 0.0) for i, label in enumerate(labels)), {len(labels): 0.0})


def cheapest(graph, number: int) -> list[tuple[list[int], list[int]]]:  # type: ignore[no-untyped-def]
    """What the cheapest paths read and write."""
    paths = kaldifst.convert_nbest_to_vector(kaldifst.shortest_path(graph, n=number))
    return [kaldifst.get_linear_symbol_sequence(path)[1:3] for path in paths]


def cost_of(graph) -> float:  # type: ignore[no-untyped-def]
    return kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(graph))[3].value


def test_alignments_are_merged_runs_without_blanks() -> None:
    """Every path of four frames is read, and says one thing."""
    anything = aligned(kaldi.transducer([(0, 0, 1, 1, 0.0), (0, 0, 2, 2, 0.0)], {0: 0.0}), 2, [])
    for path in itertools.product((1, 2, 3), repeat=4):
        found = cheapest(kaldi.compose(line(list(path)), anything), 5)
        assert found == [(list(path), [label for label, _ in itertools.groupby(path) if label != 3])]


def test_marks_part_what_sounds_alike_and_what_begins_another(tmp_path: Path) -> None:
    """Words: a = x; ab = x y or x; b = y or z x."""
    lexicon = lexicons(tmp_path)["phones"]
    assert marked(lexicon) == [(0, (0,), 1), (1, (0, 1), 0), (1, (0,), 2), (2, (1,), 0), (2, (2, 0), 0)]
    assert lexicon_transducer(lexicon)[1] == [6, 7, 8]


def test_grammar_against_every_way_through_the_back_offs(tmp_path: Path) -> None:
    known, words = model(tmp_path), ["a", "b", "ab"]
    sentences = grammar(known, words)
    for length in range(5):
        for said in itertools.product(words, repeat=length):
            spelled = [words.index(word) + 1 for word in said]
            loops = kaldi.transducer(  # any number of back-offs before each word
                [(0, 0, 4, 4, 0.0)]
                + [
                    arc for i, word in enumerate(spelled, 1) for arc in ((i - 1, i, word, word, 0.0), (i, i, 4, 4, 0.0))
                ],
                {length: 0.0},
            )
            cost = cost_of(kaldi.compose(loops, sentences))
            assert cost == pytest.approx(-grammar_score(known, said), abs=1e-5)
            assert -cost >= known.score(said) - 1e-5


def test_words_that_the_lexicon_lacks_leave_their_probability_unused(tmp_path: Path) -> None:
    known = model(tmp_path)
    said = grammar(known, ["a"])
    loops = kaldi.transducer([(0, 0, 1, 1, 0.0), (0, 0, 2, 2, 0.0)], {0: 0.0})  # a, and back-off
    assert cost_of(kaldi.compose(loops, said)) == pytest.approx(-grammar_score(known, ()), abs=1e-5)
    assert {tuple(words) for _, words in cheapest(kaldi.compose(loops, said), 9)} == {
        (),
        (1,),
        (1, 1),
        (1, 1, 1),
        (1,) * 4,
    }


def test_a_grammar_of_single_words(tmp_path: Path) -> None:
    text = ARPA[: ARPA.index("\\2-grams:")].replace("ngram 2=5\nngram 3=2\n", "") + "\\end\\\n"
    known = model(tmp_path, text)
    loops = kaldi.transducer([(0, 0, 3, 3, 0.0), (0, 1, 1, 1, 0.0), (1, 2, 2, 2, 0.0)], {2: 0.0})
    cost = cost_of(kaldi.compose(loops, grammar(known, ["a", "b"])))
    assert cost == pytest.approx(-known.score(["a", "b"]), abs=1e-5)
