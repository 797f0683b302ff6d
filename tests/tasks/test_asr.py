"""ASR: terms that add up over batches, places, and a folder that needs nothing but itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.draws import draws
from speechunits.protocols import Finishes, Predicts, Trainable
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.term import add, loss

STREAMS = {"units": Stream(Fraction(1, 50), (6,), "abc")}
INPUTS = {
    "units": {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 8},
    "audio": {
        "_target_": "speechunits.inputs.audio_input.AudioInput",
        "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 10, "hop": "1/50"},
    },
}
CTC = {"_target_": "speechunits.heads.ctc.CTC"}


def tree(kind: str, **more: Any) -> dict[str, Any]:
    still = {"dropout": 0.0, "attention_dropout": 0.0}
    positions = {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2}
    size = {"depth": 2, "dim": 8, "ffn": 16, "heads": 2, "positions": positions}
    return {
        "_target_": "speechunits.tasks.asr.ASR",
        "input": INPUTS[kind],
        "encoder": {"_target_": "speechunits.encoders.transformer.TransformerEncoder", **size, **still},
        "text": {"_target_": "speechunits.text.characters.Characters", "symbols": list("abcd")},
        "heads": {"ctc": CTC, "early": {**CTC, "weight": 0.5}},
        "places": {"early": "layer:1"},
        **more,
    }


def make(kind: str, **more: Any) -> ASR:
    torch.manual_seed(0)
    made: ASR = build(tree(kind, **more), streams=STREAMS).double().eval()
    return made


def batch(*frames: int) -> dict[str, Any]:
    """Utterances of so many frames, each the same whatever stands beside it."""
    made = []
    for n in frames:
        g = torch.Generator().manual_seed(n)
        audio = torch.randn(320 * n + 80, generator=g, dtype=torch.float64)
        made.append((audio, torch.randint(6, (n,), generator=g), torch.randint(4, (n // 8,), generator=g)))
    audio, units, text = zip(*made, strict=True)
    return {
        "audio": pad(audio, Fraction(1, 16000)),
        "units": pad(units, Fraction(1, 50)),
        "text": pad(text, None),
        "draws": draws([str(n) for n in frames]),
        "ids": [str(n) for n in frames],
    }


@pytest.mark.parametrize("kind", INPUTS)
def test_terms_of_a_batch_are_those_of_its_utterances(kind: str) -> None:
    model, frames = make(kind), (40, 25, 31)
    assert isinstance(model, Trainable) and isinstance(model, Predicts) and isinstance(model, Finishes)
    together, apart = model.terms(batch(*frames)), add(model.terms(batch(n)) for n in frames)
    counts = model.counts(batch(*frames))
    assert counts.keys() == {"ctc/loss", "early/loss"} and together.keys() == apart.keys()
    for name, term in together.items():
        torch.testing.assert_close(term.num, apart[name].num)
        torch.testing.assert_close(term.den, apart[name].den)
        assert name not in counts or counts[name] == term.den
    ctc, early = together["ctc/loss"], together["early/loss"]
    torch.testing.assert_close(loss(together), ctc.value + 0.5 * early.value)
    loss(together).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", INPUTS)
def test_what_is_heard_does_not_depend_on_batch_mates(kind: str) -> None:
    model, frames = make(kind), (40, 25, 31)
    together, apart = model.hear(batch(*frames)), [model.hear(batch(n)) for n in frames]
    for name, seq in together.items():
        for row, alone in zip(unpad(seq), apart, strict=True):
            torch.testing.assert_close(row, unpad(alone[name])[0])
    assert model.predict(batch(*frames))["text"] == [model.predict(batch(n))["text"][0] for n in frames]


def test_heads_read_their_places() -> None:
    model = make("units")
    heard, x = model.hear(batch(20)), model.input(batch(20))
    hidden = model.encoder(x)
    torch.testing.assert_close(heard["early"].data, hidden.layers[1])
    torch.testing.assert_close(heard["ctc"].data, hidden.final.data)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"places": {"late": "final"}}, "there is no head 'late'; there are: ctc, early"),
        ({"places": {"early": "layer:3"}}, "'layer:3': the encoder has layers 0 to 2"),
        ({"input": {**INPUTS["units"], "field": "codes"}}, "no field 'codes' of units; it has: units"),
    ],
)
def test_mistakes_are_named_before_anything_is_built(more: dict[str, Any], says: str) -> None:
    found = check_build(tree("units", **more), at="model", streams=STREAMS)
    assert len(found) == 1 and says in found[0]


@pytest.mark.parametrize("kind", INPUTS)
def test_a_saved_one_needs_nothing_but_its_folder(kind: str, tmp_path: Path) -> None:
    model = make(kind)
    store.save(model, tmp_path / "asr", kind="asr", **{"input": kind})
    back = store.restore(tmp_path / "asr", expect=ASR).double()
    assert back.labels == model.labels and back.labels.get("units") == ("abc" if kind == "units" else None)
    heard: Seq = back.hear(batch(30))["ctc"]
    torch.testing.assert_close(heard.data, model.hear(batch(30))["ctc"].data, atol=1e-6, rtol=1e-6)
