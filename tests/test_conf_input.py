"""conf/input: each is one line of an ASR's include, builds on what a corpus offers, and gives a gradient to all that learns."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, conf_root, dump, load
from speechunits.draws import draws
from speechunits.seq import Seq, pad
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.term import loss

INPUTS = sorted(path.stem for path in (conf_root() / "input").glob("*.yaml"))
STREAMS = {"features": Stream(Fraction(1, 50), (), "fp", (16,))}
REST = {
    "model": {
        "_target_": "speechunits.tasks.asr.ASR",
        "encoder": {
            "_target_": "speechunits.encoders.transformer.TransformerEncoder",
            **{"depth": 1, "dim": 8, "ffn": 16, "heads": 2, "dropout": 0.0, "attention_dropout": 0.0},
            "positions": {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2},
        },
        "text": {"_target_": "speechunits.text.characters.Characters", "symbols": list("abcd")},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
    }
}


def batch() -> dict[str, Any]:
    audio = [torch.randn(n) for n in (24000, 16000)]
    return {
        "audio": pad(audio, Fraction(1, 16000)),
        "features": pad([torch.randn(len(x) // 320, 16) for x in audio], Fraction(1, 50)),
        "text": pad([torch.randint(4, (5,)), torch.randint(4, (3,))], None),
        "draws": draws(["a", "b"]),
    }


def test_inputs_are_found() -> None:
    assert {"cached_features", "fbank", "features", "infused"} <= set(INPUTS)


@pytest.mark.parametrize("name", ["cached_features", "fbank", "features", "infused"])
def test_one_line_swaps_the_input(name: str, tmp_path: Path) -> None:
    given = []
    if name == "features":
        store.save(build(load("system/hubert_large.yaml", "size/toy.yaml")["model"]["encoder"]), tmp_path / "encoder")
        given = [f"model.input.encoder.folder={tmp_path / 'encoder'}"]
    path = tmp_path / "asr.yaml"
    path.write_text(dump({"include": [f"input/{name}.yaml"], **REST}))
    tree = load(path, *given)
    assert check_build(tree["model"], at="model", streams=STREAMS) == []
    model: ASR = build(tree["model"], streams=STREAMS)
    fields, one = build(tree["data"]["fields"]), batch()
    heard = model.train().input({k: v for k, v in one.items() if k in fields}, one["draws"])
    assert isinstance(heard, Seq) and heard.hop == Fraction(1, 25), "every input gives a frame every 40 ms"
    terms = model.terms(one)
    loss(terms, model.counts(one)).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == [] and bool(terms["ctc/loss"].value.isfinite())


@pytest.mark.parametrize(
    ("name", "offered"),
    [("units", {"subsampling", "durations", "corruption"}), ("units_multi", {"fusion"})],
)
def test_what_the_head_of_a_file_offers_is_built(name: str, offered: set[str]) -> None:
    head = [
        line[1:].strip() for line in (conf_root() / f"input/{name}.yaml").read_text().splitlines() if line[:1] == "#"
    ]
    found = re.findall(r"model\.input\.\S+=(?:{[^}]*}|\w[\w.]*\w)", " ".join(head))
    fields = {"one": {"_target_": "speechunits.data.fields.UnitsField"}}
    below = [f"data.fields.units.units.fields={fields}"] if name == "units_multi" else []
    assert {override.split(".")[2].split("=")[0] for override in found} == offered
    for override in found:
        tree = load(f"input/{name}.yaml", REST, "model.input.dim=8", *below, override)
        streams = {"units": Stream(None, (6, 6), "abc")}
        assert check_build(tree["model"], at="model", streams=streams) == [], override
