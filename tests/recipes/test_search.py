"""Another search than the one that a recogniser was saved with, language model and all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.compile_graph import compile_graph
from recipes.fit_ngram import fit_ngram
from recipes.recognise import recognise
from speechunits import recipe, store
from speechunits.config import build, check_build, load
from speechunits.decode.graph import load_graph
from speechunits.decode.ngram import NGram
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.text.characters import fit_characters
from tests.recipes.toy import Corpus


@pytest.fixture(scope="module")
def recogniser(letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    encoder = {
        "_target_": "speechunits.encoder.SpeechEncoder",
        "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 8, "hop": "1/50"},
        "encoder": {
            "_target_": "speechunits.encoders.transformer.TransformerEncoder",
            **{"depth": 1, "dim": 8, "ffn": 16, "heads": 2},
            "positions": {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2},
        },
    }
    tree = {
        "_target_": "speechunits.tasks.recogniser.Recogniser",
        "encoder": encoder,
        "text": {"_target_": "speechunits.store.restore", "folder": str(letters)},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
    }
    out = tmp_path_factory.mktemp("recogniser") / "recogniser"
    store.save(build(tree), out, kind="recogniser")
    return out


def test_another_search_than_the_saved_one(
    language: tuple[Path, Any], recogniser: Path, corpus: Corpus, tmp_path: Path
) -> None:
    lm = f"model.search.fusion.lm.folder={language[0] / 'ngram'}"
    heavy = [lm, "model.search.fusion.weight=20", "model.search.beam=4"]
    searches = {
        "greedy": [],
        "beam": ["conf/search/ctc_beam.yaml"],
        "lm": ["conf/search/ctc_beam.yaml", "conf/search/ngram.yaml", *heavy],
    }
    heard = {}
    for name, search in searches.items():
        given = [f"out={tmp_path / name}", f"systems.toy={recogniser}", f"cuts.valid={corpus.valid}"]
        recipe.run(recognise, [*search, *given])
        lines = (tmp_path / name / "toy-valid.jsonl").read_text().splitlines()
        heard[name] = [json.loads(line)["heard"] for line in lines]
    assert heard["greedy"] != heard["lm"] != heard["beam"] and len(heard["lm"]) == 4


def test_words_by_a_graph(recogniser: Path, letters: Path, corpus: Corpus, tmp_path: Path) -> None:
    """Transcripts to n-grams of words, these and the letters to a graph, and nothing but their words is heard."""
    pytest.importorskip("kaldi_decoder", reason="kaldi-decoder is not installed: pip install 'speechunits[lattice]'")
    recipe.run(fit_ngram, [f"out={tmp_path / 'lm'}", f"cuts={corpus.train}", "order=2"])
    graph = [f"tokenizer={letters}", f"arpa={tmp_path / 'lm' / 'lm.arpa'}"]
    recipe.run(compile_graph, [f"out={tmp_path / 'words'}", *graph])
    search = ["conf/search/lattice.yaml", f"model.search.graph={tmp_path / 'words' / 'graph'}"]
    given = [f"out={tmp_path / 'heard'}", f"systems.toy={recogniser}", f"cuts.valid={corpus.valid}"]
    recipe.run(recognise, [*search, *given])
    lines = (tmp_path / "heard" / "toy-valid.jsonl").read_text().splitlines()
    heard = {word for line in lines for word in json.loads(line)["heard"].split()}
    assert heard and heard <= {*load_graph(tmp_path / "words" / "graph").words}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["model.encoder.depth=3"], "model: encoder: of a finished recogniser only model.search can be replaced"),
        (["model.search._target_=speechunits.decode.ctc_beam.CTCBeam", "model.search.width=3"], "has no 'width'"),
    ],
)
def test_what_cannot_be_replaced(given: list[str], says: str, recogniser: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        recipe.run(recognise, [f"out={tmp_path}", f"systems.toy={recogniser}", f"cuts.valid={corpus.valid}", *given])


def test_a_language_model_of_another_text_is_refused(recogniser: Path, corpus: Corpus, tmp_path: Path) -> None:
    store.save(fit_characters(["xyz"]), tmp_path / "text", kind="text")
    (tmp_path / "lm.arpa").write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-99 <s>\n-1 <unk>\n-1 </s>\n\n\\end\\\n")
    recipe.run(fit_ngram, [f"out={tmp_path}", f"arpa={tmp_path / 'lm.arpa'}", f"tokenizer={tmp_path / 'text'}"])
    given = [f"out={tmp_path / 'out'}", f"systems.toy={recogniser}", f"cuts.valid={corpus.valid}"]
    lm = f"model.search.fusion.lm.folder={tmp_path / 'ngram'}"
    with pytest.raises(UserError, match="its language model was fitted with the text tokenizer"):
        recipe.run(recognise, ["conf/search/ctc_beam.yaml", "conf/search/ngram.yaml", lm, *given])


def test_an_asr_that_includes_a_search_is_checked_without_reading_weights(
    language: tuple[Path, Any], letters: Path
) -> None:
    tree = load(
        "input/units.yaml",
        "heads/joint.yaml",
        "search/joint_beam.yaml",
        "search/ngram.yaml",
        f"model.search.fusion.lm.folder={language[0] / 'ngram'}",
    )["model"]
    tree |= {
        "_target_": "speechunits.tasks.asr.ASR",
        "encoder": {"_target_": "speechunits.encoders.transformer.TransformerEncoder"},
    }
    tree["text"] = {"_target_": "speechunits.store.restore", "folder": str(letters)}
    streams = {"units": Stream(Fraction(1, 50), (6,), "abc")}
    assert check_build(tree, at="model", streams=streams) == []
    tree["search"] |= {"ctc_weight": 1.0}
    assert "ctc_weight: from 0 to below 1" in check_build(tree, at="model", streams=streams)[0]


def test_a_recogniser_saved_with_its_language_model_needs_no_other_folder(
    language: tuple[Path, Any], recogniser: Path, tmp_path: Path
) -> None:
    fusion = {
        "_target_": "speechunits.decode.fusion.Fusion",
        "lm": {"_target_": "speechunits.store.restore", "folder": str(language[0] / "ngram")},
    }
    node = {
        **store.read_node(recogniser),
        "search": {"_target_": "speechunits.decode.ctc_beam.CTCBeam", "fusion": fusion},
    }
    store.save(build(node, stored=False), tmp_path / "with", kind="recogniser")
    back = store.restore(tmp_path / "with")
    lm = store.restore(language[0] / "ngram", expect=NGram)
    assert all(a.equal(b) for a, b in zip(back.search.fusion.lm.buffers(), lm.buffers(), strict=True))
    assert str(language[0]) not in (tmp_path / "with" / "config.yaml").read_text()
