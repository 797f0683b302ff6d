"""conf/asr with every input, encoder, heads and search: accepted, built at toy size, takes a step, writes text; its numbers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, conf_root, load
from speechunits.decode.arpa import write_arpa
from speechunits.decode.backoff_model import read_model
from speechunits.decode.graph import compile_graph
from speechunits.decode.ngram import read_ngram
from speechunits.decode.witten_bell import count_grams, witten_bell
from speechunits.draws import draws
from speechunits.part import Tree
from speechunits.seq import pad
from speechunits.signature import mistakes
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.term import loss
from speechunits.text.characters import fit_characters
from speechunits.text.lexicon import spell
from speechunits.units.unit_bpe import fit_subwords

UNITS = Stream(Fraction(1, 50), (6,), "abc")
MERGED = Stream(None, (6,), "abc+dedup")
OFFERED = {"units": MERGED, "features": Stream(Fraction(1, 50), (), "fp", (16,))}
FIELD = "{_target_: speechunits.data.fields.UnitsField, key: %s}"
GIVEN = {  # what a file leaves to the caller
    "features": ["model.input.encoder.folder=DIR/encoder"],
    "units_bpe": ["data.fields.units.steps.subwords.folder=DIR/subwords"],
    "units_multi": [f"data.fields.units.units.fields={{low: {FIELD % 'units_l3'}, high: {FIELD % 'units_l9'}}}"],
    "lattice": ["model.search.graph=DIR/graph"],
    "ngram": ["model.search.fusion.lm.folder=DIR/ngram"],
}
TRANSDUCER = ["heads/transducer.yaml", "model.heads.ctc=null", "model.heads.attention=null"]
BELOW = {  # what a search or other heads need beside joint.yaml's own
    "ngram": ["search/joint_beam.yaml"],
    "transducer_greedy": TRANSDUCER,
    "transducer_beam": TRANSDUCER,
    "intermediate_ctc": ["model.places.middle=layer:1"],
    "transducer": ["model.heads.ctc=null", "model.heads.attention=null", "search/transducer_greedy.yaml"],
}


def names(folder: str) -> list[str]:
    return sorted(path.stem for path in (conf_root() / folder).glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has made before: a text tokenizer, subwords of units, an encoder, language models."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("parts")
    text = fit_characters(["ab cd"])
    store.save(text, out / "text", kind="text")
    store.save(fit_subwords([torch.randint(6, (60,)) for _ in range(20)], 9, stream=MERGED), out / "subwords")
    store.save(build(load("system/hubert_base.yaml", "size/toy.yaml")["model"]["encoder"]), out / "encoder")
    write_arpa(out / "lm.arpa", witten_bell(count_grams([["0", "1"], ["2", "3"]], 2), list("01234")))
    store.save(read_ngram(out / "lm.arpa", text), out / "ngram", kind="ngram")
    write_arpa(out / "words.arpa", witten_bell(count_grams([["ab", "d"], ["cd"]], 2), ["ab", "cd", "d"]))
    return out


def whole(folder: Path, asr: str, *changes: str, given: str = "") -> Tree:
    """A configuration as recipes.train takes it, without a mistake."""
    tree = load(
        *(f"asr/{asr}.yaml", *changes, "size/toy_asr.yaml", "trainer/cpu.yaml", "out=X", "data.train=a.jsonl.gz"),
        *("trainer.max_steps=2", f"data.fields.text.tokenizer.folder={folder / 'text'}"),
        *(each.replace("DIR", str(folder)) for each in GIVEN.get(given, ())),
    )
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == []
    return tree


def batch(streams: dict[str, Stream]) -> dict[str, Any]:
    audio, texts = [torch.randn(n) for n in (24000, 16000)], [torch.randint(4, (n,)) for n in (3, 2)]
    vocab = streams["units"].vocab
    units = [torch.randint(min(vocab), (n, *vocab[1:])[: 1 + (len(vocab) > 1)]) for n in (40, 30)]
    if len(vocab) > 1:
        units = [x[:, :1].expand(-1, len(vocab)).contiguous() for x in units]
    return {
        "audio": pad(audio, Fraction(1, 16000)),
        "features": pad([torch.randn(len(x) // 320, 16) for x in audio], Fraction(1, 50)),
        "units": pad(units, None),
        "durations": pad([torch.full((len(x),), 2) for x in units], Fraction(1, 50)),
        "text": pad(texts, None),
        "draws": draws(["a", "b"]),
    }


def takes_a_step(tree: Tree, streams: dict[str, Stream]) -> None:
    """Counts are those of the terms, the loss is finite, every part moves; then two utterances get a text each."""
    assert check_build(tree["model"], at="model", streams=streams) == []
    torch.manual_seed(0)
    model: ASR = build(tree["model"], streams=streams).train()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = build(tree["optimizer"])(trained.items())
    one = batch(streams)
    counts, terms = model.counts(one), model.terms(one)
    assert {name: int(den) for name, den in counts.items()} == {n: int(t.den) for n, t in terms.items() if t.weight}
    total = loss(terms, counts)
    total.backward()
    assert torch.isfinite(total) and [n for n, p in trained.items() if p.grad is None] == []
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimizer.step()
    moved = {name.split(".")[0] for name, p in trained.items() if not p.equal(before[name])}
    assert moved >= {"input", "encoder", "heads"}
    build(tree["schedule"])(optimizer)
    found = model.eval().predict(one)["text"]
    assert len(found) == 2 and all(set(text) <= set("abcd ") for text in found)


@pytest.mark.parametrize("asr", names("asr"))
def test_cites_its_paper_and_is_short(asr: str) -> None:
    lines = (conf_root() / "asr" / f"{asr}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ") and "http" in "".join(lines[:4]) and len(lines) <= 40


@pytest.mark.parametrize("asr", names("asr"))
@pytest.mark.parametrize("name", names("input"))
def test_every_recogniser_hears_every_input(folder: Path, asr: str, name: str) -> None:
    tree = whole(folder, asr, f"input/{name}.yaml", "search/greedy.yaml", given=name)
    vocab = {"units_bpe": (9,), "units_multi": (6, 6)}.get(name, (6,))
    takes_a_step(tree, {**OFFERED, "units": Stream(None, vocab, "abc+dedup")})
    assert all(build(node) is not None for node in tree["data"]["fields"].values())


@pytest.mark.parametrize("name", names("encoder"))
def test_every_encoder(folder: Path, name: str) -> None:
    takes_a_step(whole(folder, "joint", "input/units.yaml", "search/greedy.yaml", f"encoder/{name}.yaml"), OFFERED)


@pytest.mark.parametrize("name", names("heads"))
def test_all_heads(folder: Path, name: str) -> None:
    below = BELOW.get(name, ["model.heads.attention=null"])
    tree = whole(folder, "joint", "input/units.yaml", "search/greedy.yaml", f"heads/{name}.yaml", *below)
    takes_a_step(tree, OFFERED)


@pytest.mark.parametrize("name", names("search"))
def test_every_search(folder: Path, name: str) -> None:
    if name == "lattice":
        pytest.importorskip("kaldi_decoder", reason="pip install 'speechunits[lattice]'")
        text, model = store.restore(folder / "text"), read_model(str(folder / "words.arpa"))
        compile_graph(spell(["ab", "cd", "d"], text)[0], model).save(str(folder / "graph"))
    below = BELOW.get(name, ())
    takes_a_step(whole(folder, "joint", "input/units.yaml", *below, f"search/{name}.yaml", given=name), OFFERED)


@pytest.mark.parametrize(
    ("asr", "lr", "warmup", "updates"),
    [("librispeech_100", 6e-3, 15000, 16000), ("librispeech_960", 6e-3, 15000, 76000)],
)
def test_numbers(asr: str, lr: float, warmup: int, updates: int) -> None:
    """ESPnet's files: rate and warm-up as they are; epochs as updates of so many seconds, speeds 0.9 and 1.1 included."""
    tree = load(f"asr/{asr}.yaml")
    data, epochs, hours = (
        tree["data"],
        {"librispeech_100": 70, "librispeech_960": 35}[asr],
        {"librispeech_100": 100.6, "librispeech_960": 960.9}[asr],
    )
    seconds = 3600 * hours * (1 + 1 / 0.9 + 1 / 1.1) * epochs
    assert (
        tree["trainer"]["max_steps"]
        == updates
        == pytest.approx(seconds / data["max_seconds"] / data["accumulate"], rel=0.02)
    )
    assert (tree["optimizer"]["lr"], tree["schedule"]["warmup"], tree["optimizer"]["weight_decay"]) == (
        lr,
        warmup,
        1e-6,
    )
    stack, heads = tree["model"]["encoder"], tree["model"]["heads"]
    assert (stack["depth"], stack["dim"], stack["heads"], stack["block"]["ffn"]) == (12, 256, 4, 1024)
    assert (heads["ctc"]["weight"], heads["attention"]["smoothing"], heads["attention"]["depth"]) == (0.3, 0.1, 6)
