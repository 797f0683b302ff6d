"""Subwords: sentencepiece's pieces without its specials, in a folder without pickles, drawn by our own generators."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.text.subwords import UNKNOWN, Subwords, fit_subwords

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "the cat sat on the mat", "a bat and a rat ran at the cat", "that hat is on the mat", "the rat ate the oats on the mat",
    "she sells sea shells on the sea shore", "the shells she sells are sea shells", "es lebe der könig",
    *(f"{who} {stem}{end} {stem}er" for who in ("she", "the cat") for stem in ("walk", "talk", "work", "bark", "help", "call",
      "turn", "learn") for end in ("", "ed", "ing", "s")),
]  # fmt: skip
SIZES = {"bpe": 60, "unigram": 50}


@pytest.fixture(scope="module", params=SIZES)
def text(request: pytest.FixtureRequest) -> Subwords:
    return fit_subwords(TEXTS, request.param, SIZES[request.param])


def test_there_and_back(text: Subwords) -> None:
    assert text.stream.vocab == (text.size,) == (len(set(text.symbols)),) and text.stream.hop is None
    for line in TEXTS:
        ids = text.encode(f"  {line.replace(' ', '   ')} ")
        assert ids.dtype == torch.int64 and 0 <= int(ids.min()) <= int(ids.max()) < text.size
        assert text.decode(ids) == line
    assert sum(len(text.encode(line)) for line in TEXTS) < 0.6 * sum(map(len, TEXTS))
    assert text.encode(" ").tolist() == [] and text.decode(torch.tensor([], dtype=torch.int64)) == ""
    assert not {"<unk>", "<s>", "</s>"} & set(text.symbols)


def test_the_ids_are_sentencepieces_but_for_its_unknown(text: Subwords) -> None:
    for line in TEXTS:
        assert [i + UNKNOWN for i in text.encode(line).tolist()] == text.processor.encode(line)
        assert text.decode(text.encode(line)) == text.processor.decode(text.processor.encode(line))


def test_a_folder_brings_it_back(text: Subwords, tmp_path: Path) -> None:
    name = store.save(text, tmp_path / "text", kind="text")
    again = store.restore(tmp_path / "text", expect=Subwords)
    assert name == text.fingerprint == again.fingerprint and again.symbols == text.symbols
    assert again.encode(TEXTS[0]).equal(text.encode(TEXTS[0]))
    with torch.device("meta"):
        unread = store.restore(tmp_path / "text")
    assert unread.stream == text.stream
    for twin in (copy.deepcopy(text), pickle.loads(pickle.dumps(text))):  # a loader worker that is spawned
        assert twin.encode(TEXTS[0]).equal(text.encode(TEXTS[0])) and twin.fingerprint == name


def test_inside_of_a_model(text: Subwords, tmp_path: Path) -> None:
    """Its folder is the model's: no second one is needed, and the fingerprint stays."""
    text_folder = tmp_path / "text"
    store.save(text, text_folder)
    model = build({
        "_target_": "speechunits.tasks.asr.ASR",
        "input": {
            "_target_": "speechunits.inputs.audio_input.AudioInput",
            "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 4, "hop": "1/50"},
        },
        "encoder": {
            "_target_": "speechunits.encoders.transformer.TransformerEncoder", "depth": 1, "dim": 4, "ffn": 4, "heads": 1,
            "positions": {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 3, "groups": 1},
        },
        "text": {"_target_": "speechunits.store.restore", "folder": str(text_folder)},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
    }, streams={})  # fmt: skip
    store.save(model, tmp_path / "asr")
    again = store.restore(tmp_path / "asr")
    assert again.labels == model.labels == {"text": text.fingerprint}
    assert again.text.decode(again.text.encode(TEXTS[1])) == TEXTS[1]


def test_the_same_text_gives_the_same_pieces(text: Subwords) -> None:
    assert fit_subwords(iter(TEXTS), text.kind, text.size).fingerprint == text.fingerprint
    assert fit_subwords(TEXTS[:-1], text.kind, text.size - 5).fingerprint != text.fingerprint


def test_other_pieces_of_the_same_text(text: Subwords, tmp_path: Path) -> None:
    """By the generator alone, whatever was drawn before; none at strength 0 of BPE or a high power of a unigram model."""
    line, strength = TEXTS[1], {"bpe": 0.3, "unigram": 0.3}[text.kind]
    draws = [text.resample(line, strength, np.random.default_rng(seed)) for seed in range(20)]
    assert all(text.decode(ids) == line for ids in draws)
    assert len({tuple(ids.tolist()) for ids in draws}) > 10
    assert text.resample(line, strength, np.random.default_rng(7)).equal(draws[7])
    code = (
        "import numpy as np; from speechunits import store; t = store.restore({!r});"
        "print(t.resample({!r}, {}, np.random.default_rng(7)).tolist())"
    )
    store.save(text, tmp_path / "text")
    command = [sys.executable, "-c", code.format(str(tmp_path / "text"), line, strength)]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert json.loads(elsewhere) == draws[7].tolist()  # as a training that is resumed does
    plain = {"bpe": 0.0, "unigram": 1000.0}[text.kind]
    for line in TEXTS:
        assert text.resample(line, plain, np.random.default_rng(0)).equal(text.encode(line))


def test_pieces_are_drawn_as_often_as_by_sentencepiece(text: Subwords) -> None:
    """Of one word, 3000 times; its own draws are others in every process, so the bound is five deviations."""
    word, count, generator = "talked", 3000, np.random.default_rng(0)
    ours = Counter(tuple(text.resample(word, 0.3, generator).tolist()) for _ in range(count))
    sampled = [text.processor.encode(word, enable_sampling=True, alpha=0.3, nbest_size=-1) for _ in range(count)]
    theirs = Counter(tuple(i - UNKNOWN for i in ids) for ids in sampled)
    for ids in ours.keys() | theirs.keys():
        p = (ours[ids] + theirs[ids]) / (2 * count)
        assert abs(ours[ids] - theirs[ids]) / count < 5 * math.sqrt(2 * p * (1 - p) / count) + 2 / count, ids


def test_errors(text: Subwords) -> None:
    with pytest.raises(
        UserError, match=rf"'Q', '▁' of 'the Q▁t' not among the {text.size} symbols of the text tokenizer"
    ):
        text.encode("the Q▁t")
    with pytest.raises(UserError, match="no text to take pieces from"):
        fit_subwords(["", " "])
    with pytest.raises(UserError, match=rf"tokenizer.size=4000: there are not so many {text.kind} pieces") as found:
        fit_subwords(TEXTS, text.kind, 4000)
    most = int(str(found.value).split("at most ")[1].split(")")[0])
    assert fit_subwords(TEXTS, text.kind, most).size == most
    with pytest.raises(UserError, match=r"tokenizer.size=5: .* or it has more characters"):
        fit_subwords(TEXTS, text.kind, 5)
    with pytest.raises(UserError, match="stands for the space in sentencepiece"):
        fit_subwords(["a▁b"])


def test_texts_of_a_few_letters() -> None:
    """Shorter than the least limit on the length of a line that sentencepiece takes: digits, commands."""
    text = fit_subwords(["one", "two"], "bpe", 8)
    assert text.decode(text.encode("two one")) == "two one"
