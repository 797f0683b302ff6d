"""A graph is a folder: there and back, the same bytes each time, and refused when something in it changed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from speechunits import store
from speechunits.decode import kaldi
from speechunits.decode.graph import compile_graph, load_graph
from speechunits.decode.word_lattice import WordLattice
from speechunits.errors import UserError
from speechunits.text.characters import fit_characters
from speechunits.text.lexicon import Lexicon, spell
from tests.decode.toy_words import ARPA, LETTERS, brute, lexicons, model, random_language, random_scores

pytest.importorskip("kaldifst", reason="kaldifst is not installed: pip install 'speechunits[lattice]'")


@pytest.mark.parametrize("kind", ["letters", "pieces", "phones", "silence"])
def test_there_and_back(kind: str, tmp_path: Path) -> None:
    lexicon = lexicons(tmp_path)[kind]
    made = compile_graph(lexicon, model(tmp_path))
    name = made.save(tmp_path / "graph", words=3)
    meta, again = store.read_meta(tmp_path / "graph"), load_graph(tmp_path / "graph")
    assert again.fst.to_str() == made.fst.to_str() and again.lexicon == lexicon == made.lexicon
    assert (meta["fingerprint"], meta["tokenizer"], meta["vocab"]) == (name, lexicon.fingerprint, len(lexicon.names))
    assert compile_graph(lexicon, model(tmp_path)).save(tmp_path / "twice") == name
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("seed", range(12))
def test_random_languages_against_brute_force(seed: int) -> None:
    """All readings: words, symbols of each word, scores."""
    pytest.importorskip("kaldi_decoder", reason="kaldi-decoder is not installed: pip install 'speechunits[lattice]'")
    lexicon, known = random_language(seed)
    made, scores = compile_graph(lexicon, known), random_scores(4, 4, seed)
    expected = brute(scores, lexicon, known)
    found = WordLattice(*kaldi.search(made.fst, scores, 300.0, 300.0)).best(len(expected) + 1)
    assert len(found) == len(expected)
    for path, (score, _) in zip(found, expected, strict=True):
        columns, words = [label - 1 for label in path.labels], [made.words[word - 1] for word in path.words]
        assert path.graph + sum(float(row[i]) for row, i in zip(scores, columns, strict=True)) == pytest.approx(
            score, abs=1e-3
        )
        ids = [i for i, _ in itertools.groupby(columns) if i != 3]
        places = lexicon.places(words, ids)
        assert all(tuple(ids[a:b]) in lexicon.words[word] for word, (a, b) in zip(words, places, strict=True))


def test_tables_are_those_of_openfst(tmp_path: Path) -> None:
    compile_graph(lexicons(tmp_path)["letters"], model(tmp_path)).save(tmp_path / "graph")
    assert (tmp_path / "graph" / "symbols.txt").read_text() == "<eps> 0\n<space> 1\na 2\nb 3\n<blank> 4\n"
    assert (tmp_path / "graph" / "words.txt").read_text() == "<eps> 0\na 1\nb 2\nab 3\n"
    assert (tmp_path / "graph" / "lexicon.txt").read_text() == "a a\nb b\nab a b\n"


def test_words_that_the_model_lacks_are_left_out(tmp_path: Path) -> None:
    more = spell(["ba", "a", "b", "ab"], LETTERS)[0]
    assert compile_graph(more, model(tmp_path)).words == ["a", "b", "ab"]
    with pytest.raises(UserError, match=r"has none of the 1 words of the lexicon \('ba' ...\); give them in the same"):
        compile_graph(Lexicon({"ba": ((2, 1),)}, more.names, more.fingerprint, 0), model(tmp_path))


def test_a_model_without_sentences_is_refused(tmp_path: Path) -> None:
    endless = ARPA.replace("-0.7\t</s>", "-99\t</s>").replace("-0.3\tb", "-99\tb")
    with pytest.raises(UserError, match="the language model ends no sentence of the lexicon's words"):
        compile_graph(lexicons(tmp_path)["letters"], model(tmp_path, endless))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("graph.fst", "graph.fst changed or damaged since it was compiled; compile the graph again"),
        ("words.txt", "symbols.txt, words.txt, lexicon.txt changed or damaged"),
        ("lexicon.txt", "symbols.txt, words.txt, lexicon.txt changed or damaged"),
    ],
)
def test_what_changed_is_refused(name: str, says: str, tmp_path: Path) -> None:
    compile_graph(lexicons(tmp_path)["letters"], model(tmp_path)).save(tmp_path / "graph")
    path = tmp_path / "graph" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=says):
        load_graph(tmp_path / "graph")
    path.unlink()
    with pytest.raises(UserError, match=rf"{name}: cannot be read \(No such file"):
        load_graph(tmp_path / "graph")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not an artefact folder \(meta.json is missing\)"):
        load_graph(tmp_path)
    store.save(fit_characters(["ab"]), tmp_path / "text", kind="text")
    with pytest.raises(UserError, match=r"text: holds a text, not a graph; give a folder of recipes.compile_graph"):
        load_graph(tmp_path / "text")


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compile_graph(lexicons(tmp_path)["letters"], model(tmp_path))
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(store, "write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"graph: cannot be written \(No space left on device\)"):
        made.save(tmp_path / "graph")
    assert sorted(tmp_path.iterdir()) == before
