"""Lattice against brute force over all sentences and paths; batches, silence, nothing, bad input; k2 where it is installed."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechunits import store
from speechunits.config import build, check, load
from speechunits.decode.graph import compile_graph
from speechunits.decode.lattice import Lattice
from speechunits.errors import UserError
from speechunits.nn import k2
from speechunits.part import ConfigError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.text.lexicon import spell
from tests.decode.scored import Scores
from tests.decode.toy_words import ARPA, LETTERS, brute, grammar_score, lexicons, model, random_scores

for needed in ("kaldifst", "kaldi_decoder"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install 'speechunits[lattice]'")
ENGINES = [
    "kaldi",
    pytest.param(
        "k2", marks=[pytest.mark.k2, pytest.mark.skipif(not k2.installed(), reason="k2 is not installed: tools/k2.sh")]
    ),
]
WIDE = {"beam": 200.0, "lattice_beam": 200.0}
TEXT = {"_target_": "speechunits.text.characters.Characters", "symbols": list(LETTERS.symbols)}


def search(folder: Path, kind: str = "letters", **options: Any) -> Lattice:
    lexicon = lexicons(folder)[kind]
    compile_graph(lexicon, model(folder)).save(folder / "graph")
    return Lattice(str(folder / "graph"), **options)


def heard(*rows: Tensor) -> dict[str, Seq]:
    return {"ctc": pad(rows, Fraction(1, 50))}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "frames"), [("letters", 5), ("pieces", 4), ("phones", 4), ("silence", 4)])
def test_readings_are_those_of_brute_force(kind: str, frames: int, engine: str, tmp_path: Path) -> None:
    """Words, order and scores of the best ten, in float64, at two scales."""
    lexicon = lexicons(tmp_path)[kind]
    for scale in (1.0, 0.4):
        find = search(tmp_path, kind, engine=engine, acoustic_scale=scale, **WIDE)
        rows = [random_scores(frames, len(lexicon.names) + 1, seed) for seed in range(3)]
        for row, found in zip(rows, find({"ctc": Scores()}, heard(*rows)), strict=True):
            expected = brute(row, lexicon, model(tmp_path), scale)[
                : 10 if engine == "kaldi" or kind == "letters" else 1
            ]
            found = found[: len(expected)]  # k2 keeps the better of two words that sound alike
            assert [tuple(word for word, _, _ in each.words or ()) for each in found] == [said for _, said in expected]
            assert [each.score for each in found] == pytest.approx([score for score, _ in expected], abs=1e-4)


def likely(path: str, names: str = " ab_") -> Tensor:
    """Scores whose best path is ``path``; "_" is the blank."""
    return torch.eye(len(names))[[names.index(c) for c in path]].mul(8.0).log_softmax(-1)


@pytest.mark.parametrize("engine", ENGINES)
def test_symbols_words_and_frames(engine: str, tmp_path: Path) -> None:
    (found, *_), (nothing, *_) = search(tmp_path, engine=engine)(
        {"ctc": Scores()}, heard(likely("__aa_ _abb_"), likely("_" * 11))
    )
    assert found.ids.tolist() == LETTERS.encode("a ab").tolist() and found.text(LETTERS) == "a ab"
    assert found.words == (("a", 0, 1), ("ab", 2, 4))
    assert found.spans is not None and found.spans.tolist() == [[2, 4], [5, 6], [7, 8], [8, 10]]
    assert nothing.ids.tolist() == [] and nothing.words == () and nothing.text(LETTERS) == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_confidence_is_the_share_of_the_readings_that_say_a_word_then(engine: str, tmp_path: Path) -> None:
    """Of "a b" and "a ab", which part at the second word alone."""
    row = likely("_a_ _ab_")
    row[5] = torch.tensor([-9.0, -0.9, -9.0, -0.5])
    found = search(tmp_path, engine=engine, nbest=2)({"ctc": Scores()}, heard(row))[0]
    assert sorted(each.text(LETTERS) for each in found) == ["a ab", "a b"]
    shares = torch.tensor([each.score for each in found]).softmax(0)
    for each, share in zip(found, shares.tolist(), strict=True):
        assert each.confidence is not None and each.words is not None
        assert each.confidence[0] == pytest.approx(1.0, abs=1e-6)
        assert each.confidence[1:].tolist() == pytest.approx([share] * (len(each.ids) - 1), abs=1e-5)
    alone = search(tmp_path, engine=engine, nbest=1)({"ctc": Scores()}, heard(row))[0]
    assert len(alone) == 1 and alone[0].ids.equal(found[0].ids) and alone[0].confidence is None


@pytest.mark.parametrize("engine", ENGINES)
def test_batch_mates_do_not_matter(engine: str, tmp_path: Path) -> None:
    rows = [random_scores(frames, 4, frames) for frames in (30, 9, 17, 0, 1)]
    find = search(tmp_path, engine=engine, nbest=5)
    together = find({"ctc": Scores()}, heard(*rows))
    for row, found in zip(rows, together, strict=True):
        (alone,) = find({"ctc": Scores()}, {"ctc": Seq(row[None], torch.tensor([len(row)]), None)})
        assert [(each.score, each.words, each.ids.tolist()) for each in found] == [
            (each.score, each.words, each.ids.tolist()) for each in alone
        ]


@pytest.mark.parametrize("engine", ENGINES)
def test_long_silence(engine: str, tmp_path: Path) -> None:
    """Twenty seconds before, between and behind the words cost nothing but time."""
    path = "_" * 1000 + "a" + "_" * 1000 + " " + "ab" + "_" * 1000
    (found, *_) = search(tmp_path, engine=engine)({"ctc": Scores()}, heard(likely(path)))[0]
    assert found.text(LETTERS) == "a ab"
    assert found.spans is not None and found.spans.tolist() == [[1000, 1001], [2001, 2002], [2002, 2003], [2003, 2004]]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_in_the_lexicon_becomes_words_that_are(engine: str, tmp_path: Path) -> None:
    for path in ("_b_a_b_b", "_" + " " * 6):
        (found, *_) = search(tmp_path, engine=engine, beam=50.0)({"ctc": Scores()}, heard(likely(path)))[0]
        assert {word for word, _, _ in found.words or ()} <= {"a", "b", "ab"} and math.isfinite(found.score)
        assert found.text(LETTERS) == LETTERS.decode(found.ids)


def test_nothing_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One frame is too short for the words of a graph that has no empty sentence; no frames say nothing."""
    text = ARPA.replace("-0.7\t</s>", "-99\t</s>").replace("b\t</s>", "ab\t</s>")
    compile_graph(spell(["ab"], LETTERS)[0], model(tmp_path, text)).save(tmp_path / "graph")
    find = Lattice(str(tmp_path / "graph"))
    found = find({"ctc": Scores()}, heard(likely(" "), random_scores(0, 4, 0)))
    assert [[(each.score, each.words) for each in one] for one in found] == [[(-math.inf, ())], [(0.0, ())]]
    assert "1 of 2 utterances fit no sentence of" in caplog.text


def test_another_language_model_ranks_the_readings(tmp_path: Path) -> None:
    """Its probability takes the place of the graph's, and of all back-offs it takes the one that ARPA files mean."""
    (tmp_path / "bigger").mkdir()
    other = model(tmp_path / "bigger", ARPA.replace("-0.8\tb\t-0.1", "-0.1\tb\t-0.1"))
    find = search(tmp_path, nbest=100, rescore=str(tmp_path / "bigger" / "toy.arpa"), **WIDE)
    row = random_scores(5, 4, 3)
    found, known = find({"ctc": Scores()}, heard(row))[0], model(tmp_path)
    expected = {
        said: score - grammar_score(known, said) for score, said in brute(row, lexicons(tmp_path)["letters"], known)
    }
    ranked = sorted(expected, key=lambda said: -expected[said] - other.score(said))
    assert [tuple(word for word, _, _ in each.words or ()) for each in found] == ranked
    assert [each.score for each in found] == pytest.approx([expected[s] + other.score(s) for s in ranked], abs=1e-4)


def test_another_language_model_chooses_the_best_of_one_too(tmp_path: Path) -> None:
    """ "b" is likelier by the graph, and "a" by the other model."""
    (tmp_path / "other").mkdir()
    rare = ARPA.replace("-0.8\tb\t-0.1", "-9\tb\t-0.1").replace("-0.3\tb\t</s>", "-9\tb\t</s>")
    other = model(tmp_path / "other", rare)
    row = torch.tensor([[-9.0, -1.0, -0.8, -3.0]] * 2).log_softmax(-1)
    ((without,),) = search(tmp_path, nbest=1)({"ctc": Scores()}, heard(row))
    ((found,),) = search(tmp_path, nbest=1, rescore=str(tmp_path / "other" / "toy.arpa"))({"ctc": Scores()}, heard(row))
    assert (without.text(LETTERS), found.text(LETTERS)) == ("b", "a") and found.confidence is None
    assert found.score == pytest.approx(float(row[:, 1].sum()) + other.score(["a"]), abs=1e-5)


def asr(folder: str, **options: Any) -> dict[str, Any]:
    positions = {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2}
    size = {"depth": 1, "dim": 8, "ffn": 16, "heads": 2, "positions": positions}
    return {
        "_target_": "speechunits.tasks.asr.ASR",
        "input": {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 8},
        "encoder": {"_target_": "speechunits.encoders.transformer.TransformerEncoder", **size},
        "text": TEXT,
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
        "search": {"_target_": "speechunits.decode.lattice.Lattice", "graph": folder, **options},
    }


STREAMS = {"units": Stream(Fraction(1, 50), (6,), "abc")}


def test_a_recogniser_finds_words_and_is_saved_with_its_search(tmp_path: Path) -> None:
    search(tmp_path)
    made: ASR = build(asr(str(tmp_path / "graph"), nbest=2), streams=STREAMS).eval()
    batch = {"units": Seq(torch.randint(6, (2, 12)), torch.tensor([12, 7]), Fraction(1, 50)), "draws": None}
    found = made.predict(batch)
    assert [len(each) <= 2 for each in found["hypotheses"]] == [True, True]
    assert found["text"] == [each[0].text(LETTERS) for each in found["hypotheses"]]
    store.save(made, tmp_path / "asr")
    again = store.restore(tmp_path / "asr", expect=ASR)
    assert again.search.nbest == 2 and again.predict(batch)["text"] == found["text"]


def test_a_copy_searches_as_the_one_that_was_used(tmp_path: Path) -> None:
    find, given = search(tmp_path), heard(likely("__aa_ _abb_"))
    found = find({"ctc": Scores()}, given)
    copied = copy.deepcopy(find)
    again = copied({"ctc": Scores()}, given)
    assert [h.words for h in again[0]] == [h.words for h in found[0]] and copied.graph is not find.graph


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"symbols": [" ", "a", "c"]},
            r"was compiled with the text tokenizer \w+, and the recogniser writes with \w+; com",
        ),
        ({"symbols": [" ", "a", "b", "c"]}, r"compile it again \(recipe compile_graph with the recogniser's\)"),
        ({"graph": "nowhere"}, r"nowhere: not an artefact folder"),
        ({"nbest": 0}, "nbest, beam, lattice_beam and acoustic_scale must be above 0"),
        ({"acoustic_scale": 0.0}, "must be above 0"),
        ({"engine": "fst"}, r"Lattice takes engine: Literal\['kaldi', 'k2'\], found 'fst'"),
    ],
)
def test_what_does_not_fit_is_named_when_the_model_is_built(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    search(tmp_path)
    symbols = options.pop("symbols", TEXT["symbols"])
    tree = asr(**{"folder": options.pop("graph", str(tmp_path / "graph")), **options})
    with pytest.raises(ConfigError, match=f"search: .*{says}|search.engine: {says}"):
        build({**tree, "text": {**TEXT, "symbols": symbols}}, streams=STREAMS)


@pytest.mark.skipif(k2.installed(), reason="k2 is installed")
def test_k2_that_is_asked_for_and_absent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="k2 is asked for and not installed"):
        search(tmp_path, engine="k2")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            torch.zeros(3, 5),
            r"head 'ctc' gives 5 scores a frame, and the graph .* reads 4; compile the graph for this model",
        ),
        (torch.full((3, 4), math.nan), "scores of head 'ctc' are no numbers; look at the model's weights"),
    ],
)
def test_scores_that_do_not_fit(row: Tensor, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        search(tmp_path)({"ctc": Scores()}, heard(row))


def test_a_language_model_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rescore: no.arpa does not exist; give an ARPA file of words"):
        search(tmp_path, rescore="no.arpa")
    (tmp_path / "half.arpa").write_text(ARPA[:200])
    with pytest.raises(UserError, match=r"half.arpa: ends within its 2-grams"):
        search(tmp_path, rescore=str(tmp_path / "half.arpa"))({"ctc": Scores()}, heard(random_scores(3, 4, 0)))


def test_the_fragment_fits_a_recogniser(tmp_path: Path) -> None:
    search(tmp_path)
    tree = load({"model": asr("")}, "search/lattice.yaml", f"model.search.graph={tmp_path / 'graph'}")
    assert check(tree["model"]) == [] and isinstance(build(tree["model"], streams=STREAMS).search, Lattice)
